"""Every signature in the log, on all cores. Source: protocol page, sections 2 and 4."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context

from syncgov.audit.folder import Log
from syncgov.audit.report import Progress, Report
from syncgov.core.canonical import unb64u
from syncgov.core.commitment import Body, parse_path
from syncgov.core.keys import device_id, which_verify
from syncgov.core.staff_keys import STAFF_KEYS
from syncgov.core.statement import CHANGESET_TYPE, Leaf
from syncgov.core.succession import Charters
from syncgov.errors import FormatError

_KEY_TABLES = ("device", STAFF_KEYS)
_CHUNK = 250  # leaves a task: about 20 ms
_MANY = 2500  # leaves from which on it pays to start processes


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


@contextmanager
def checked_signatures(log: Log, report: Report, progress: Progress, *, workers: int | None = None) -> Iterator[None]:
    """Verify every signature of every leaf, in other processes while the block runs; findings come at its end.

    Args:
        workers: processes (the library holds the interpreter's lock while it verifies); 0: none but this one; None: one
            a core for a long log.

    Findings: signature, certificate.
    """
    if log.damaged:
        zh, en = (
            "有的证书读不出来，其签名没有核对",
            "some certificates cannot be read; what their keys signed was not checked",
        )
        report.skip(zh, en)
    keys = public_keys(log.charters, log.bodies.values())
    if workers is None:
        workers = (os.cpu_count() or 1) if len(log.leaves) >= _MANY else 0
    with _pool(workers) as run:
        starts = range(0, len(log.leaves), _CHUNK)
        tasks = [(start, run(_signed(log.leaves[start : start + _CHUNK], keys))) for start in starts]
        yield
        for start, valid in tasks:
            _report(log, start, keys, iter(valid()), report)
            progress("signatures", min(start + _CHUNK, len(log.leaves)), len(log.leaves))


_Signed = list[tuple[bytes, str, bytes, bytes]]  # as `which_verify` takes them


@contextmanager
def _pool(workers: int) -> Iterator[Callable[[_Signed], Callable[[], list[bool]]]]:
    """Give a function that begins to verify and returns how to wait for the outcome."""
    if workers == 0:
        yield lambda signed: lambda: which_verify(signed)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:

        def begin(signed: _Signed) -> Callable[[], list[bool]]:
            try:
                task = pool.submit(which_verify, signed)
            except BrokenProcessPool:
                return lambda: which_verify(signed)
            return lambda: _outcome(task, signed)

        yield begin


def _outcome(task: Future[list[bool]], signed: _Signed) -> list[bool]:
    try:
        return task.result()
    except BrokenProcessPool:  # processes cannot be started here, or were killed: verify in this one
        return which_verify(signed)


def _signed(leaves: Sequence[Leaf], keys: Mapping[str, bytes]) -> _Signed:
    """Return what is to be verified of some leaves: the signatures of known keys."""
    envelopes = (leaf.changeset.envelope for leaf in leaves)
    return [
        (keys[key_id], CHANGESET_TYPE, envelope.payload, signature)
        for envelope in envelopes
        for key_id, signature in envelope.signatures
        if key_id in keys
    ]


def _report(log: Log, start: int, keys: Mapping[str, bytes], valid: Iterator[bool], report: Report) -> None:
    """Say what was found about the chunk of leaves from *start* on."""
    for index, leaf in enumerate(log.leaves[start : start + _CHUNK], start):
        for key_id, _signature in leaf.changeset.envelope.signatures:
            if key_id not in keys:
                if not log.damaged:
                    zh = f"第 {index} 条：密钥 {key_id} 没有公开的证书"
                    report.add("certificate", zh, f"leaf {index}: no certificate discloses key {key_id}", index=index)
            elif next(valid):
                report.counts["signatures"] += 1
            else:
                zh, en = f"第 {index} 条：密钥 {key_id} 的签名无效", f"leaf {index}: invalid signature by key {key_id}"
                report.add("signature", zh, en, index=index)
