"""One record's proof, made from the published folder, and checked from its file. Source: protocol page, section 9."""

from pathlib import Path

import msgspec

from syncgov.audit.folder import load_log, load_trusted_charter, read_file, require_folder
from syncgov.audit.proofs import make_prover
from syncgov.audit.report import Report, quiet
from syncgov.audit.walk import Walk
from syncgov.core.record_proof import verify_record_proof
from syncgov.core.record_proof_model import MAX_PROOF_BYTES, RecordProof
from syncgov.core.statement import PROTOCOL_VERSION
from syncgov.errors import AuditError, VersionError


def prove(out: Path, table: str, key: str) -> bytes:
    """Return the proof file of one public record, made from the folder *out* alone.

    Raises:
        AuditError: the folder is damaged, or holds nothing public of such a record. InputError: there is no folder.
    """
    require_folder(out)
    report = Report()
    log = load_log(out, report)
    walk = None if log is None else Walk(log, report)
    if walk is not None:
        walk.run(quiet)
    if log is None or walk is None or not report.ok:
        first = report.findings[0]
        raise AuditError(
            f"{out} 有问题，请先运行 audit：{first.zh}", f"{out} is damaged, run `syncgov audit`: {first.en}"
        )
    return make_prover(log, walk.ledger).prove(table, key)


class _Version(msgspec.Struct):
    v: int = PROTOCOL_VERSION


def require_version(data: bytes, name: str) -> None:
    """Refuse a proof file of another version; what else is wrong with one is said by who reads it.

    Raises:
        VersionError: names both versions.
    """
    try:
        version = msgspec.json.decode(data, type=_Version).v
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
    if version != PROTOCOL_VERSION:
        again = ("请重新生成：syncgov prove 公开文件夹 登记册 编号", "make it again: syncgov prove PUBLIC TABLE KEY")
        raise VersionError(f"证明文件 {name} ", f"proof file {name}", str(version), PROTOCOL_VERSION, again)


def verify_proof_file(path: Path, charter: Path | None = None) -> RecordProof:
    """Return what the proof file at *path* proves, under the charter in the file *charter* if one is given.

    Raises:
        VersionError: a file of another version. SyncgovError: as `core.record_proof.verify_record_proof`.
    """
    data = read_file(path.parent, path.name, MAX_PROOF_BYTES)
    require_version(data, path.name)
    return verify_record_proof(data, None if charter is None else load_trusted_charter(charter))
