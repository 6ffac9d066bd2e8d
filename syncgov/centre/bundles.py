"""Bundles at the centre: the invitation, and the reply to what a carrier brings.

What a bundle asks goes through the same doors as a request over the network: `enrolment.join`, `pushing.push_entries`,
`serving.pull`. Source: protocol page, section 14.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from syncgov.centre import enrolment
from syncgov.centre.centre import Centre
from syncgov.centre.files import put
from syncgov.centre.pushing import push_entries
from syncgov.centre.serving import acknowledges, certificate_message, own, pull
from syncgov.centre.staff_keys import answer
from syncgov.core import bundle, wire
from syncgov.core.keys import SigningKey
from syncgov.core.note import parse_checkpoint, parse_note
from syncgov.core.trust_view import Certificate
from syncgov.core.wire_files import MAX_PARTS, Part, PutResult, check_part
from syncgov.errors import (
    FormatError,
    InputError,
    LimitError,
    NotAllowedError,
    RollbackError,
    SignatureError,
    StorageError,
    UnknownDeviceError,
)
from syncgov.storage import sealing
from syncgov.storage.files import write_atomic
from syncgov.storage.keyfile import load_key

AGE_KEY = "age.key"  # in CENTRE/keys, in the form that age-keygen writes


@dataclass(frozen=True, slots=True)
class Replied:
    """What a bundle brought, and the reply to carry back. `more`: the device must bundle again to get the rest."""

    dev: str
    reply: bytes
    joined: bool
    results: Sequence[wire.PushResult] = field(default_factory=tuple)
    files: Sequence[bundle.FileResult] = field(default_factory=tuple)
    sent: int = 0
    more: bool = False


def recipient_note(centre: Centre) -> str:
    """Return the signed note that says to whom bundles for this centre are sealed."""
    return bundle.sign_recipient(centre.charter.origin, sealing.recipient_of(_identity(centre)), _log_key(centre))


def invitation(centre: Centre) -> bytes:
    """Return the invitation file: charter and recipient. It holds nothing secret and serves any number of devices."""
    return bundle.format_invitation(centre.ledger.charters.newest.raw, recipient_note(centre))


def receive(centre: Centre, data: bytes) -> Replied:
    """Take a request and return the reply, sealed to the device that asked. Taking it again changes nothing.

    Raises:
        InputError: for another centre, no request, or sealed to another key. FormatError: cut short or damaged.
        SignatureError: not signed by its device. NotAllowedError: unknown or revoked device, or a code that is no good.
        RollbackError: the device has seen more of the log than this centre holds; nothing was taken.
    """
    label, content = bundle.split_bundle_file(data)
    _check_label(centre, label)
    header, packed = bundle.open_bundle(label, sealing.unseal(content, _identity(centre)))
    request = bundle.unpack(packed, bundle.Request)
    bundle.check_recipient(request.recipient)
    if request.pull.size > centre.ledger.size:
        raise RollbackError(request.pull.size, centre.ledger.size)
    with centre.lock:
        joined = None if request.join is None else _join(centre, request.join, header)
        certificate = centre.ledger.certificate(header.dev, centre.ledger.size)
        if certificate is None:
            raise UnknownDeviceError(header.dev)
        # a changeset in the same bundle may carry the signature of a key that is registered by it
        registered = [] if certificate.revoked else [answer(centre, header.dev, one) for one in request.staff_keys]
        results = push_entries(centre, centre.ledger, header.dev, request.push.entries)
        if certificate.revoked:
            raise NotAllowedError(
                f"终端 {header.dev[:8]} 已停用：它的 {len(results)} 条已记入日志，不生成回包",
                f"device {header.dev[:8]} is revoked: its {len(results)} changesets are logged, there is no reply",
            )
    files = _take_files(centre, certificate, request.files)  # after their rows; without the lock, which comes second
    with centre.lock:
        reply = _answer(centre, certificate, request, joined, results)
        reply.files = files
        reply.staff_keys = registered
        if all(acknowledges(certificate, page, centre.clock()) for page in reply.pages):
            centre.note_folded(header.dev, request.pull.size)
    sent = sum(len(page.entries) for page in reply.pages)
    more = bool(reply.pages) and reply.pages[-1].next < reply.pages[-1].target
    return Replied(header.dev, _seal(centre, header, request, reply), joined is not None, results, files, sent, more)


def _check_label(centre: Centre, label: bundle.Label) -> None:
    """Refuse by name, before anything is opened."""
    if label.origin in {closing.origin for closing in centre.ledger.charters.closings}:
        raise InputError(
            f"这个包是给已结束的日志“{label.origin}”的；请让终端先收下本中心新的邀请文件，再打包一次，内容不会丢",
            f"this bundle is for the closed log {label.origin!r}: let the device receive this centre's new invitation "
            "and bundle again; nothing is lost",
        )
    if label.origin != centre.charter.origin:
        raise InputError(
            f"这个包是给中心“{label.origin}”的，这里是“{centre.charter.origin}”；没有打开，请转交",
            f"this bundle is for the centre {label.origin!r}, this is {centre.charter.origin!r}; it was not opened",
        )
    if label.kind == "reply":
        raise InputError(
            f"这是给终端 {label.dev[:8]} 的回包，请带到那台终端上 receive",
            f"this is a reply for device {label.dev[:8]}; receive it there",
        )
    if label.kind == "invitation":
        raise InputError(
            "这是本中心的邀请文件，请在终端上用 join --bundle",
            "this is an invitation of this centre; use it on a device: join --bundle",
        )


def _join(centre: Centre, message: wire.Join, header: bundle.Header) -> int:
    if message.public != header.public:
        raise SignatureError(header.dev)
    return enrolment.join(centre, message)


def _take_files(centre: Centre, certificate: Certificate, parts: Sequence[bundle.FilePart]) -> list[bundle.FileResult]:
    """Take pieces of files; what is wrong with one is its own answer, and no reason to refuse the bundle."""
    found: dict[int, PutResult] = {}
    good: list[tuple[int, Part, bytes]] = []
    for at, each in enumerate(parts):
        part = Part(each.sha256, each.total, each.offset, len(each.data))
        try:
            check_part(part)
            if at >= MAX_PARTS:
                raise LimitError("bundle", f"more than {MAX_PARTS} files")
            good.append((at, part, each.data))
        except FormatError as error:
            found[at] = PutResult(state="refused", code=error.code, detail=error.en, detail_zh=error.zh)
    taken = put(centre, centre.ledger, certificate, [(part, data) for _at, part, data in good]) if good else []
    found |= {at: result for (at, _part, _data), result in zip(good, taken, strict=True)}
    return [bundle.FileResult(each.sha256, found[at]) for at, each in enumerate(parts)]


def _answer(
    centre: Centre,
    certificate: Certificate,
    request: bundle.Request,
    joined: int | None,
    results: list[wire.PushResult],
) -> bundle.Reply:
    ledger = centre.ledger
    text = ledger.meta.get("checkpoint")  # once: another process may sign a newer one meanwhile
    newest = parse_checkpoint(parse_note(text).text).size
    answered = None
    if joined is not None:
        answered = wire.JoinAnswer(text, certificate_message(ledger, joined, newest, certificate.dev))
    owned = None if request.own is None else own(ledger, certificate, request.own.after, text, newest)
    return bundle.Reply(
        answered,
        owned,
        list(_pages(centre, certificate.dev, request.pull, text, newest)),
        request.pull,
        wire.PushAnswer(text, results),
        recipient_note(centre),
    )


def _pages(centre: Centre, dev: str, ask: wire.Pull, text: str, newest: int) -> Iterator[wire.PullAnswer]:
    """Yield the answers that the device would get one after the other, as many as a bundle holds."""
    filled = 0
    while True:
        answer = pull(centre.ledger, dev, ask, text, newest, now_ms=centre.clock())
        size = len(wire.format_message(answer))
        if filled and filled + size > bundle.FILL_BYTES:
            return
        filled += size
        yield answer
        if answer.reset and ask.size > 0:
            ask = wire.Pull(0, ask.limit, 0, answer.target)
        elif answer.next >= answer.target or answer.next <= ask.after:
            return  # all was sent; or the device asked for a time before its certificate and gets nothing
        else:
            ask = wire.Pull(answer.next, ask.limit, ask.size, answer.target)


def _seal(centre: Centre, asked: bundle.Header, request: bundle.Request, reply: bundle.Reply) -> bytes:
    label = bundle.Label("reply", asked.origin, asked.dev)
    size = reply.pages[-1].target if reply.pages else 0
    header = bundle.Header(asked.dev, asked.first, "reply", asked.last, asked.origin, "", "", size, 1)
    plain = bundle.sign_bundle(label, header, reply, _log_key(centre))
    return bundle.format_bundle_file(label, sealing.seal(plain, request.recipient))


# -- keys --------------------


def _log_key(centre: Centre) -> SigningKey:
    return load_key(centre.path / "keys" / "log.key").key


def _identity(centre: Centre) -> str:
    """Return the centre's age identity; the first use makes it."""
    path = centre.path / "keys" / AGE_KEY
    with _alone(path.parent):
        if not path.exists():
            identity = sealing.new_identity()
            text = f"# public key: {sealing.recipient_of(identity)}\n{identity}\n"
            write_atomic(path, text.encode(), mode=0o600)
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    try:
        sealing.recipient_of(lines[0] if len(lines) == 1 else "")
    except FormatError as error:
        raise StorageError(f"密钥文件 {path} 已损坏，请从备份恢复", f"damaged key file, restore it: {path}") from error
    return lines[0]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a folder alone: two processes must not both make the key."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
