"""The evidence: every public row has a proof file that proves what public.db shows. Source: protocol page 9."""

from collections.abc import Mapping
from pathlib import Path

from syncgov.audit.folder import Log, names_below, read_file
from syncgov.audit.memory_ledger import MemoryLedger
from syncgov.audit.report import Progress, Report
from syncgov.core.commitment import Body
from syncgov.core.merge import Hidden, standing
from syncgov.core.public_rows import Table, evidence_path
from syncgov.core.record_proof import verify_record_proof
from syncgov.core.record_proof_model import MAX_PROOF_BYTES, ProvenField
from syncgov.core.record_prover import Prover
from syncgov.errors import AuditError, SyncgovError

PROOF_FOLDER = "log/proofs"
_EVERY = 200  # proofs between two reports of progress


def make_prover(log: Log, ledger: MemoryLedger) -> Prover:
    """Return the prover of a log that has been folded."""

    def entry(index: int) -> tuple[bytes, Body]:
        return log.entries[index], log.body(index)

    registers = ledger.registers(ledger.size)
    earlier = [each.raw for each in log.charters.of_log if each.raw != log.charter_raw]
    parts = (log.checkpoint_text, entry, log.tree.get, ledger.state, registers)
    return Prover(log.charter_raw, *parts, earlier=earlier)


def check_proofs(
    out: Path, log: Log, ledger: MemoryLedger, tables: Mapping[str, Table], report: Report, progress: Progress
) -> None:
    """Verify the proof file of every row of every table that has `_evidence`.

    A file is good if it is the one that this audit makes itself from what it has already verified; any other one is
    verified step by step, and what it shows compared with the fold.

    Findings: evidence, evidence-surplus.
    """
    prover = make_prover(log, ledger)
    wanted = [
        (name, str(row[0]))
        for name, table in sorted(tables.items())
        if any(column == "_evidence" for column, _kind in table.columns)
        for row in table.rows
    ]
    names = set()
    for done, (table_name, key) in enumerate(wanted):
        if done % _EVERY == 0:
            progress("proofs", done, len(wanted))
        name = evidence_path(table_name, key)
        names.add(name)
        try:
            _check_proof(read_file(out, name, MAX_PROOF_BYTES), prover, log, ledger, (table_name, key))
            report.counts["proofs"] += 1
        except SyncgovError as error:
            report.add(
                "evidence", f"{name} 不成立：{error.zh}", f"{name}: {error.en}", table=table_name, key=key, path=name
            )
    for name in sorted(names_below(out, PROOF_FOLDER) - names):
        zh, en = f"多出凭据 {name}", f"{name} proves a row that is not published"
        report.add("evidence-surplus", zh, en, path=name)


def _check_proof(data: bytes, prover: Prover, log: Log, ledger: MemoryLedger, row: tuple[str, str]) -> None:
    if data == prover.prove(*row):
        return
    proof = verify_record_proof(data, log.charter)
    if (proof.table, proof.key) != row or proof.checkpoint != log.checkpoint:
        raise AuditError("它证明的是别的记录，或别的检查点", "it proves another row, or another checkpoint")
    for field in proof.fields:
        if _heads(field) != _folded(ledger, field):
            raise AuditError(
                f"{field.table}/{field.key}/{field.field} 与日志不符",
                f"{field.table}/{field.key}/{field.field} is not what the log gives",
            )
    shown = {field.field for field in proof.fields if (field.table, field.key) == row}
    if shown != _provable(ledger, row):
        raise AuditError("证明的字段不全", "it does not prove every public field of the row")


def _heads(field: ProvenField) -> set[int]:
    return {write.index for write in field.writes}


def _folded(ledger: MemoryLedger, field: ProvenField) -> set[int]:
    row = ledger.state.get((field.table, field.key))
    state = row.fields.get(field.field) if row is not None else None
    return {head.index for head in standing(state.heads)} if state is not None else set()


def _provable(ledger: MemoryLedger, row: tuple[str, str]) -> set[str]:
    fields = ledger.state[row].fields
    known = {name: standing(state.heads) for name, state in fields.items()}
    return {name for name, heads in known.items() if not any(isinstance(head.value, Hidden) for head in heads)}
