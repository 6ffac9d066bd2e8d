"""One record's proof in one file: what the public sees of it, by whom it was written, and that the log holds it.

The file discloses the writes that are heads of the record's public fields, and no other; a field that is withheld or
erased is left out, and the row of the log that says so stands in its place. Beside them stand the certificates of their
authors and, if a field has several values, the register that says which one shows. Source: protocol page, section 9
(proof file).
"""

import itertools
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from syncgov.core.canonical import decode_as, unb64u
from syncgov.core.charter import Charter, open_charter
from syncgov.core.commitment import Body, Dot, Value, Write, open_body, parse_path
from syncgov.core.fold import ERASURES, HIDING_TABLES, RowKey
from syncgov.core.keys import device_id
from syncgov.core.merge import (
    WITHHELD,
    FieldState,
    Head,
    declared_field,
    fold_write,
    is_conflict,
    workflow_of,
)
from syncgov.core.merge import shown as shown_value
from syncgov.core.note import Checkpoint
from syncgov.core.proof import parse_receipt, verify_receipt
from syncgov.core.record_proof_model import (
    BEFORE_MISSING,
    HIDDEN_MISSING,
    MAX_PROOF_BYTES,
    NOT_PROVEN,
    OWN_CHARTER_MISSING,
    Author,
    HiddenField,
    ProofFile,
    ProvenField,
    ProvenWrite,
    RecordProof,
    Sentence,
    registrars_of,
    signers_of,
)
from syncgov.core.record_writes import CERTIFICATE_TABLE, REGISTER_TABLE
from syncgov.core.register import Register, parse_register
from syncgov.core.staff_keys import STAFF_KEYS
from syncgov.core.statement import Leaf, parse_leaf, verify_changeset, verify_second
from syncgov.core.succession import succeed
from syncgov.errors import AuditError, FormatError


@dataclass(frozen=True, slots=True)
class _Checked:
    """An entry whose receipt, signature and body are good."""

    index: int
    leaf: Leaf
    body: Body


def verify_record_proof(data: bytes, charter: Charter | None) -> RecordProof:
    """Return what the proof file *data* proves.

    Args:
        charter: the charter that the reader holds from elsewhere; with None only inner consistency is proven.

    Raises:
        FormatError, LimitError: not a proof file.
        NotAllowedError: the charter in it is not signed by its roots.
        SignatureError, ProofError, CommitmentError: a signature, an inclusion path or a body does not hold.
        AuditError: another charter, several checkpoints, an author without certificate, a refused or a surplus write.
    """
    try:
        data.decode()
    except UnicodeDecodeError as error:  # parts that are kept raw are not looked into when the whole is parsed
        raise FormatError("proof file", "not UTF-8") from error
    proof = decode_as(data, ProofFile, max_bytes=MAX_PROOF_BYTES, what="proof file")
    own, registrars = _check_charter(proof, charter)
    rows = _check_rows(proof)
    entries, checkpoint = _check_entries(proof, own)
    writes = _sort_writes(entries, rows)
    authors = _check_authors(registrars, entries, writes, rows)
    registers = _registers(writes)
    fields = tuple(_prove_field(path, heads, registers) for path, heads in sorted(writes.items()) if _row(path) in rows)
    if not fields:
        raise AuditError("证明文件里没有这条记录的内容", "the proof file proves no field of the record")
    hidden = _hidden_fields(writes, rows)
    missing = (*(() if charter is not None else (OWN_CHARTER_MISSING,)), *((HIDDEN_MISSING,) if hidden else ()))
    open_question = () if all(f.known for f in fields) else (BEFORE_MISSING,)
    return RecordProof(
        proof.table,
        proof.key,
        tuple(rows),
        own,
        checkpoint,
        fields,
        authors,
        _proven(own, checkpoint, len(entries), sum(each.leaf.changeset.second is not None for each in entries)),
        (*missing, *open_question, *NOT_PROVEN),
        hidden,
    )


def _proven(charter: Charter, checkpoint: Checkpoint, count: int, seconds: int) -> tuple[Sentence, ...]:
    second: Sentence = (
        f"其中 {seconds} 个另有已登记的人员密钥签名",
        f"{seconds} of them are signed by a registered staff key too",
    )
    return (
        (
            f"章程“{charter.name}”由根密钥签名，检查点（{checkpoint.size} 条）由章程所列日志密钥签名",
            f"the charter {charter.origin} is signed by its roots, the checkpoint ({checkpoint.size} leaves) by it",
        ),
        (
            f"{count} 个变更集都在这个检查点之下，各由其终端签名",
            f"{count} changesets are in the log below this checkpoint, each signed by its device",
        ),
        *((second,) if seconds else ()),
        ("每个终端都由章程所列登记终端登记", "each device was enrolled by a registrar that the charter names"),
        ("所列的值就是当时签名的值", "the values shown are those that were signed"),
    )


def _check_charter(proof: ProofFile, charter: Charter | None) -> tuple[Charter, dict[str, bytes]]:
    """Return the charter in force and every registrar; the reader's charter may be any in the chain."""
    earlier = [] if isinstance(proof.charters, msgspec.UnsetType) else [bytes(raw) for raw in proof.charters]
    chain = [*earlier, bytes(proof.charter)]
    if not isinstance(proof.charters, msgspec.UnsetType) and not earlier:
        raise FormatError("proof file", "an empty list of charters")
    for old, new in itertools.pairwise(chain):
        succeed(old, new)
    own = [open_charter(raw) for raw in chain]
    if charter is not None and charter not in own:
        raise AuditError("证明文件用的是另一份章程", "the proof file belongs to another charter")
    return own[-1], registrars_of(chain)


def _check_rows(proof: ProofFile) -> dict[RowKey, None]:
    rows = dict.fromkeys(proof.rows)
    if not proof.rows or proof.rows[0] != (proof.table, proof.key) or len(rows) != len(proof.rows):
        raise FormatError("proof file", "its rows do not begin with the record, or one occurs twice")
    return rows


def _check_entries(proof: ProofFile, charter: Charter) -> tuple[list[_Checked], Checkpoint]:
    entries = []
    checkpoints: dict[str, Checkpoint] = {}
    last = -1
    signers: set[str] = set()
    for entry in proof.entries:
        leaf = parse_leaf(bytes(entry.leaf))
        receipt = parse_receipt(entry.receipt)
        checkpoints[receipt.checkpoint] = verify_receipt(entry.receipt, leaf.raw, charter.log)
        st = leaf.changeset.statement
        signers |= signers_of(leaf)
        verify_changeset(leaf.changeset, _key_of(proof, st.dev))
        if leaf.changeset.second is not None:
            verify_second(leaf.changeset, _key_of(proof, leaf.changeset.second))
        if receipt.index <= last or not leaf.accepted:
            raise AuditError("证明文件的条目次序不对，或含有被退回的", "entries out of order, or one that was refused")
        last = receipt.index
        entries.append(_Checked(receipt.index, leaf, open_body(bytes(entry.body), st)))
    if len(checkpoints) != 1 or signers != set(proof.keys):
        raise AuditError(
            "证明文件须用同一个检查点，密钥恰为作者的", "not one checkpoint, or not exactly the authors' keys"
        )
    return entries, next(iter(checkpoints.values()))


def _key_of(proof: ProofFile, signer: str) -> bytes:
    public = unb64u(proof.keys.get(signer, ""))
    if device_id(public) != signer:
        raise AuditError(f"密钥 {signer} 的公钥不对", f"no key, or not the key, of {signer}")
    return public


_Heads: TypeAlias = list[tuple[_Checked, Write]]


def _row(path: str) -> RowKey:
    table, key, _field = parse_path(path)
    return table, key


def _sort_writes(entries: Sequence[_Checked], rows: Collection[RowKey]) -> dict[str, _Heads]:
    """Return path -> disclosed writes; nothing but the record, certificates of authors and registers may be there."""
    authors = {entry.leaf.changeset.statement.dev for entry in entries}
    helpers = {(CERTIFICATE_TABLE, dev) for dev in authors} | {(REGISTER_TABLE, table) for table, _key in rows}
    helpers |= {(STAFF_KEYS, key_id) for key_id in _seconds(entries)}
    found: dict[str, _Heads] = defaultdict(list)
    helpers |= _hiding_rows(entries, rows)
    for entry in entries:
        for position, write in entry.body.disclosed():
            surplus = _row(write.path) not in rows and _row(write.path) not in helpers
            if surplus or position >= entry.leaf.changeset.statement.pub:
                raise AuditError(
                    f"证明文件多出 {write.path}", f"the proof file discloses {write.path}, which it must not"
                )
            found[write.path].append((entry, write))
    return found


def _seconds(entries: Sequence[_Checked]) -> set[str]:
    """The ids of the staff keys that signed beside devices."""
    return {entry.leaf.changeset.second for entry in entries if entry.leaf.changeset.second is not None}


def _hiding_rows(entries: Sequence[_Checked], rows: Collection[RowKey]) -> set[RowKey]:
    """Return the rows that withhold or erase something of the record."""
    found = set()
    for entry in entries:
        for _position, write in entry.body.disclosed():
            table, key, field = parse_path(write.path)
            if table in HIDING_TABLES and field == "path" and isinstance(write.value, str):
                found |= {(table, key)} if _row(write.value) in rows else set()
    return found


def _hidden_fields(writes: Mapping[str, _Heads], rows: Collection[RowKey]) -> tuple[HiddenField, ...]:
    found = []
    for path, heads in sorted(writes.items()):
        table, key, name = parse_path(path)
        said = heads[-1][1].value
        if table in HIDING_TABLES and (table, key) not in rows and name == "path" and isinstance(said, str):
            reason = writes.get(f"{path.removesuffix('path')}reason")
            code = str(reason[-1][1].value) if reason else ""
            found.append(HiddenField(*parse_path(said), table == ERASURES, code))
    return tuple(found)


def _check_authors(
    known: Mapping[str, bytes], entries: Sequence[_Checked], writes: Mapping[str, _Heads], rows: Collection[RowKey]
) -> tuple[Author, ...]:
    """Every author is a registrar, or a registrar wrote its certificate; so with registers and staff keys."""
    registrars = {entry.leaf.changeset.statement.dev for entry in entries}
    registrars = {dev for dev in registrars if dev in known}
    certificates: dict[str, dict[str, Value]] = defaultdict(dict)
    for path, heads in writes.items():
        table, key, field = parse_path(path)
        if table not in (CERTIFICATE_TABLE, REGISTER_TABLE, STAFF_KEYS, *HIDING_TABLES):
            continue
        if (table, key) in rows and table == REGISTER_TABLE:
            continue
        if any(entry.leaf.changeset.statement.dev not in registrars for entry, _write in heads):
            raise AuditError(f"{path} 不是登记终端写的", f"{path} was not written by a registrar")
        if table != REGISTER_TABLE:
            certificates[key][field] = heads[-1][1].value
    authors = {entry.leaf.changeset.statement.dev for entry in entries}
    for dev in (authors - registrars) | _seconds(entries):
        key_text = certificates.get(dev, {}).get("public_key")
        if not isinstance(key_text, str) or device_id(unb64u(key_text, 32)) != dev:
            raise AuditError(f"缺少 {dev} 的证书或密钥登记", f"the certificate or staff key of {dev} is missing")
    return tuple(Author(dev, dev in registrars, certificates.get(dev, {})) for dev in sorted(authors))


def _registers(writes: Mapping[str, _Heads]) -> dict[str, Register]:
    found = {}
    for path, heads in writes.items():
        table, key, field = parse_path(path)
        text: Any = heads[-1][1].value
        if table == REGISTER_TABLE and field == "text" and isinstance(text, str):
            found[key] = parse_register(text, f"{key}.yml")
    return found


def _prove_field(path: str, heads: _Heads, registers: Mapping[str, Register]) -> ProvenField:
    table, key, name = parse_path(path)
    register = registers.get(table)
    declared, workflow = declared_field(register, name), workflow_of(register, name)
    state = FieldState()
    by_dot: dict[Dot, tuple[_Checked, Write]] = {}
    for entry, write in heads:
        st = entry.leaf.changeset.statement
        head = Head(st.dev, st.seq, entry.index, *entry.leaf.effective, write.value)
        state = fold_write(state, head, write.over, declared, workflow)
        by_dot[st.dot] = (entry, write)
    known = not is_conflict(state.heads) or name == "_alive" or register is not None
    value = shown_value(state, declared, workflow)
    if known and is_conflict(state.heads) and _needs_before(state, register, name):
        known = False
    proven = tuple(_proven_write(*by_dot[head.dot], head) for head in state.heads)
    if name == "_alive":
        value = any(head.value is True for head in state.heads)
    return ProvenField(table, key, name, value if known else None, known, proven)  # type: ignore[arg-type]


def _needs_before(state: FieldState, register: Register | None, name: str) -> bool:
    """Whether the rule shows what stood before the split, which later writes may have taken out of the heads."""
    declared, workflow = declared_field(register, name), workflow_of(register, name)
    probe = FieldState(state.heads, before=WITHHELD)
    return shown_value(probe, declared, workflow) is WITHHELD


def _proven_write(entry: _Checked, write: Write, head: Head) -> ProvenWrite:
    return ProvenWrite(write.value, head.dev, head.seq, head.index, head.at, entry.leaf.received)
