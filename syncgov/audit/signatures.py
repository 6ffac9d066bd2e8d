"""Every signature in the log, on all cores. Source: protocol page, sections 2 and 4."""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from syncgov.audit.folder import Log
from syncgov.audit.report import Progress, Report
from syncgov.core.canonical import unb64u
from syncgov.core.commitment import Body, parse_path
from syncgov.core.keys import device_id, verify_typed
from syncgov.core.staff_keys import STAFF_KEYS
from syncgov.core.statement import CHANGESET_TYPE, Leaf
from syncgov.core.succession import Charters
from syncgov.errors import FormatError, SignatureError

_KEY_TABLES = ("device", STAFF_KEYS)
_CHUNK = 250  # leaves a task: about 30 ms

_Bad = tuple[int, str]  # log index, key id


def public_keys(charters: Charters, bodies: Iterable[Body]) -> dict[str, bytes]:
    """Return id -> key of registrars and of every certificate and staff key disclosed; the id authenticates the key."""
    found = [*charters.publics.values()]
    for body in bodies:
        for _position, write in body.disclosed():
            table, _key, field = parse_path(write.path)
            if table in _KEY_TABLES and field == "public_key" and isinstance(write.value, str):
                try:
                    found.append(unb64u(write.value, 32))
                except FormatError:
                    continue  # the row's verdict is another check
    return {device_id(public): public for public in found}


def check_signatures(log: Log, report: Report, progress: Progress, *, workers: int | None = None) -> None:
    """Verify every signature of every leaf.

    Args:
        workers: threads (the library verifies without holding the interpreter's lock); None: one a core.

    Findings: signature, certificate.
    """
    if log.damaged:
        zh, en = (
            "有的证书读不出来，其签名没有核对",
            "some certificates cannot be read; what their keys signed was not checked",
        )
        report.skip(zh, en)
    keys = public_keys(log.charters, log.bodies.values())
    starts = range(0, len(log.leaves), _CHUNK)
    count = workers or os.cpu_count() or 1
    done = 0
    with ThreadPoolExecutor(count) as pool:
        tasks = pool.map(lambda start: _verify(log.leaves[start : start + _CHUNK], start, keys), starts)
        for checked, unknown, bad in tasks:
            report.counts["signatures"] += checked
            done += _CHUNK
            progress("signatures", min(done, len(log.leaves)), len(log.leaves))
            for index, key_id in bad:
                zh, en = f"第 {index} 条：密钥 {key_id} 的签名无效", f"leaf {index}: invalid signature by key {key_id}"
                report.add("signature", zh, en, index=index)
            for index, key_id in () if log.damaged else unknown:
                zh = f"第 {index} 条：密钥 {key_id} 没有公开的证书"
                report.add("certificate", zh, f"leaf {index}: no certificate discloses key {key_id}", index=index)


def _verify(leaves: Sequence[Leaf], start: int, keys: Mapping[str, bytes]) -> tuple[int, list[_Bad], list[_Bad]]:
    """Return how many signatures are good, and (index, key id) of those without a known key, and of bad ones."""
    good, unknown, bad = 0, [], []
    for index, leaf in enumerate(leaves, start):
        envelope = leaf.changeset.envelope
        for key_id, signature in envelope.signatures:
            public = keys.get(key_id)
            if public is None:
                unknown.append((index, key_id))
                continue
            try:
                verify_typed(public, CHANGESET_TYPE, envelope.payload, signature)
                good += 1
            except SignatureError:
                bad.append((index, key_id))
    return good, unknown, bad
