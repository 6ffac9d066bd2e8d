"""Erase a record's values everywhere; withhold them from the public; who has not heard of it yet.

Source: protocol page, sections 9 and 18.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from syncgov.centre.centre import Centre
from syncgov.centre.erasing import Found, find_writes, rows_of
from syncgov.centre.files import drop_unreferenced
from syncgov.centre.restore import kept_databases
from syncgov.core.commitment import META_TABLE, Value, format_path, open_body, parse_path
from syncgov.core.erasure import NOTE, may_be_erased
from syncgov.core.fold import ERASURES, WITHHOLDINGS
from syncgov.core.public_log import slot_key
from syncgov.core.register_model import Field, Register
from syncgov.core.statement import parse_leaf
from syncgov.errors import FormatError, InputError
from syncgov.storage.erasing import load_erasures, needle
from syncgov.storage.ledger import Ledger
from syncgov.storage.state import RowKey, load_row


@dataclass(frozen=True, slots=True)
class Hidden:
    """What was erased or withheld, or is no longer.

    Attributes:
        fields: names, of the record's rows; `note` for notes of changesets. writes: how many logged writes.
        rows: how many rows, children included. waiting: changesets without a verdict that lost the value too.
        size: of the log afterwards; who has folded so much has heard of it.
    """

    table: str
    key: str
    reason: str
    fields: tuple[str, ...]
    rows: int
    writes: int
    waiting: int
    size: int


def erase(centre: Centre, table: str, key: str, fields: Sequence[str], reason: str) -> Hidden:
    """Erase fields of a row, or without *fields* everything that may go of a record: its children and notes too.

    Raises:
        InputError: no such table, row, field or reason; a field that stays; nothing there, or erased before.
    """
    ledger = centre.ledger

    def find(ledger: Ledger) -> Found:
        _require_reason(ledger, ERASURES, reason)
        is_note = table == META_TABLE
        found = _find_note(ledger, key, fields) if is_note else _find_fields(ledger, table, key, fields)
        if not found.writes:
            _refuse_nothing(ledger, table, key, fields)
        return found

    found = centre.erase(find, reason)
    drop_unreferenced(centre)  # photos whose names are gone
    return _hidden(table, key, reason, found.paths, len(found.writes), len(found.waiting), ledger.size)


def _find_note(ledger: Ledger, key: str, fields: Sequence[str]) -> Found:
    if tuple(fields) != (NOTE,):
        raise InputError(
            f"变更集里只能删除 {NOTE}（谁写的要留着，环节分离靠它核对）",
            f"of a changeset only {NOTE!r} can be erased: who wrote is what separation of duties rests on",
        )
    dev, _, seq = key.partition(".")
    found = ledger.conn.execute("SELECT 1 FROM _sg_leaf WHERE dev = ? AND seq = ?", (dev, seq)).fetchone()
    if found is None:
        raise InputError(f"日志里没有变更集 {key}", f"the log holds no changeset {key}")
    return find_writes(ledger, {(META_TABLE, key)}, lambda path: path.field == NOTE, notes=False)


def _find_fields(ledger: Ledger, table: str, key: str, fields: Sequence[str]) -> Found:
    register = _register(ledger, table)
    _require_row(ledger, register, key)
    if fields:
        names = {_erasable(register, name).name for name in fields}
        return find_writes(ledger, {(table, key)}, lambda path: path.field in names, notes=False)
    registers = ledger.registers(ledger.size)
    erasable = {r.name: {f.name for f in r.fields if may_be_erased(r, f)} for r in registers.values()}
    rows = rows_of(ledger, (table, key))
    # a field that an older edition declared holds words too
    stays = {r.name: {f.name for f in r.fields} - erasable[r.name] for r in registers.values()}
    return find_writes(
        ledger, rows, lambda path: not path.field.startswith("_") and path.field not in stays[path.table], notes=True
    )


def _erasable(register: Register, name: str) -> Field:
    declared = _field(register, name)
    if not may_be_erased(register, declared):
        raise InputError(
            f"{register.label}的 {name}（{declared.label}）不能删除：状态、区域、责任单位、上级记录要留着，"
            "否则说不清这条记录由谁负责、办到哪一步",
            f"{register.name}.{name} stays: state, area, unit and parent say who answers for it, and where it stands",
        )
    return declared


def withhold(centre: Centre, table: str, key: str, fields: Sequence[str], reason: str) -> Hidden:
    """Withhold public free texts of a row from publication; without *fields* all of the record, children included.

    Raises:
        InputError: as `erase`; also a field that is not public free text.
    """
    with centre.lock:
        ledger = centre.ledger
        _require_reason(ledger, WITHHOLDINGS, reason)
        paths = _withholdable(ledger, table, key, fields)
        rows = _public_writes(ledger, paths)
        if not rows:
            raise InputError(f"{table} {key} 没有可以不予公开的内容", f"{table} {key} holds nothing to withhold")
        changed: list[tuple[str, dict[str, Value]]] = [
            (slot, {"path": path, "over": over, "reason": reason})
            for slot, (path, over) in rows.items()
            if not load_row(ledger.conn, (WITHHOLDINGS, slot)).alive
        ]
        if not changed:
            raise InputError(f"{table} {key} 的这些内容已经不予公开", f"{table} {key}: this is withheld already")
        centre.write(WITHHOLDINGS, changed)
        return _hidden(
            table, key, reason, {p for _s, c in changed for p in [str(c["path"])]}, len(changed), 0, ledger.size
        )


def lift(centre: Centre, table: str, key: str, fields: Sequence[str]) -> Hidden:
    """Lift withholdings: what was withheld is public again from the next publication on.

    Raises:
        InputError: as `withhold`; also when nothing of it is withheld.
    """
    with centre.lock:
        ledger = centre.ledger
        paths = _withholdable(ledger, table, key, fields)
        rows = [
            (slot, str(stored.shown("path", None)))
            for slot, stored in ledger.rows(WITHHOLDINGS)
            if stored.alive and stored.shown("path", None) in paths
        ]
        if not rows:
            raise InputError(f"{table} {key} 没有不予公开的内容", f"nothing of {table} {key} is withheld")
        centre.write(WITHHOLDINGS, [(slot, None) for slot, _path in rows])
        return _hidden(table, key, "", {path for _slot, path in rows}, len(rows), 0, ledger.size)


def _withholdable(ledger: Ledger, table: str, key: str, fields: Sequence[str]) -> set[str]:
    """Return the paths of the public free texts that are meant."""
    register = _register(ledger, table)
    _require_row(ledger, register, key)
    for name in fields:
        declared = _field(register, name)
        if not (declared.free_text and declared.klass == "public"):
            raise InputError(
                f"{register.label}的 {name}（{declared.label}）不是公开的文字：不公开的内容本来就不公开，"
                "代码和数字不能不予公开；要删除请用 erase",
                f"{table}.{name} is no public free text: nothing else is withheld; `syncgov erase` removes",
            )
    rows = {(table, key)} if fields else rows_of(ledger, (table, key))
    registers = ledger.registers(ledger.size)
    return {
        format_path(*row, each.name)
        for row in rows
        for each in registers[row[0]].fields
        if each.free_text and each.klass == "public" and (not fields or each.name in fields)
    }


def _public_writes(ledger: Ledger, paths: set[str]) -> dict[str, tuple[str, Value]]:
    """Return slot -> (path, over) of the accepted public writes of *paths* that are still there."""
    found: dict[str, tuple[str, Value]] = {}
    for path in sorted(paths):
        sql = "SELECT leaf, body FROM _sg_leaf WHERE accepted AND instr(body, ?) ORDER BY idx"
        for raw, raw_body in ledger.conn.execute(sql, (needle(*parse_path(path)),)).fetchall():
            st = parse_leaf(raw).changeset.statement
            for position, write in open_body(raw_body, st).disclosed():
                if write.path == path and position < st.pub:
                    found[slot_key((st.dot, position))] = (path, [list(dot) for dot in write.over])
    return found


# -- what was asked for --------------------


def _register(ledger: Ledger, table: str) -> Register:
    registers = ledger.registers(ledger.size)
    register = registers.get(table)
    if register is None:
        names = "、".join(name for name, each in registers.items() if not each.system)
        raise InputError(f"没有登记册 {table}；有：{names}", f"no register named {table}; there are: {names}")
    if register.system:
        raise InputError(
            f"{table} 是系统登记册，核验要靠它，不能删除，也不能不予公开",
            f"{table} is a system register: verification rests on it, nothing of it is erased or withheld",
        )
    return register


def _require_row(ledger: Ledger, register: Register, key: str) -> None:
    try:
        mark = needle(register.name, key)
    except FormatError as error:
        raise InputError(f"不是主键：{key!r}", f"not a key: {key!r}") from error
    sql = "SELECT 1 FROM _sg_leaf WHERE instr(body, ?) LIMIT 1"
    if not load_row(ledger.conn, (register.name, key)).fields and not ledger.conn.execute(sql, (mark,)).fetchone():
        raise InputError(f"{register.label}里没有 {key}", f"{register.name} has no row {key}")


def _field(register: Register, name: str) -> Field:
    declared = register.find(name)
    if declared is not None:
        return declared
    if name.startswith("_"):
        raise InputError(
            f"{name} 属于骨架（存在、社区、月份），总数靠它核对，不能删除，也不能不予公开",
            f"{name} is part of the skeleton, on which totals rest: it is neither erased nor withheld",
        )
    for each in register.fields:
        if name in {column.name for column in each.columns}:
            raise InputError(
                f"{name} 是字段组 {each.name} 的一栏，请写 {each.name}", f"{name}: name its group {each.name}"
            )
    names = "、".join(each.name for each in register.fields)
    raise InputError(
        f"{register.label}没有字段 {name}；有：{names}", f"{register.name} has no field {name}; it has {names}"
    )


def _require_reason(ledger: Ledger, table: str, reason: str) -> None:
    (column,) = ledger.registers(ledger.size)[table].field("reason").columns
    codes = [choice.code for choice in column.choices]
    if reason not in codes:
        raise InputError(
            f"没有原因代码 {reason}；有：{'、'.join(codes)}", f"no reason {reason}; there are {', '.join(codes)}"
        )


def _refuse_nothing(ledger: Ledger, table: str, key: str, fields: Sequence[str]) -> None:
    mark = needle(table, key).decode()[1:]
    known = ledger.conn.execute(
        "SELECT path FROM _sg_erased WHERE substr(path, 1, ?) = ?", (len(mark), mark)
    ).fetchall()
    names = {parse_path(path).field for (path,) in known}
    if names & set(fields) or (known and not fields):
        raise InputError(f"{table} {key} 的这些内容已经删除", f"{table} {key}: this has been erased before")
    raise InputError(
        f"{table} {key} 的这些字段从来没有写过，没有可以删除的", f"{table} {key}: nothing was ever written there"
    )


def _hidden(table: str, key: str, reason: str, paths: set[str], writes: int, waiting: int, size: int) -> Hidden:
    parts = [parse_path(path) for path in paths]
    fields = tuple(sorted({path.field for path in parts}))
    rows = len({path[:2] for path in parts if path.table != META_TABLE})
    return Hidden(table, key, reason, fields, rows, writes, waiting, size)


# -- who has heard of it --------------------


@dataclass(frozen=True, slots=True)
class Waiting:
    """A device that has not said that it folded an erasure. `folded`: the greatest log size that it ever named."""

    device: str
    folded: int
    revoked: bool


@dataclass(frozen=True, slots=True)
class ErasureStatus:
    """One row's erasures for one reason, taken together.

    Attributes:
        index: of the newest leaf that says so. late: writes that arrived afterwards and were erased on arrival.
        waiting: devices enrolled before it that have not acknowledged. stale: published folders older than it.
    """

    table: str
    key: str
    reason: str
    fields: tuple[str, ...]
    writes: int
    late: int
    index: int
    waiting: tuple[Waiting, ...]
    stale: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Erasures:
    """How far the erasures of a centre have come.

    Attributes:
        unfinished: free space of its own files still has to be cleaned; open it once more.
        published: folder -> log size of what was published there last.
        kept: databases that restorations have set aside in the centre's folder; nothing is erased from them.
    """

    unfinished: bool
    erasures: tuple[ErasureStatus, ...] = ()
    published: dict[str, int] = field(default_factory=dict)
    kept: tuple[str, ...] = ()


def erasure_status(centre: Centre) -> Erasures:
    """Return for each erasure who has not acknowledged it."""
    ledger = centre.ledger
    devices = _devices(ledger)
    published = dict(ledger.conn.execute("SELECT folder, size FROM _sg_published ORDER BY 1").fetchall())
    unfinished = ledger.meta.get_int("scrub") > 0
    groups: dict[tuple[RowKey, str], list[tuple[str, int]]] = {}
    for one in load_erasures(ledger.conn):
        groups.setdefault((one.row, one.reason), []).append((parse_path(one.path).field, one.index))
    late = {at for (at,) in ledger.conn.execute("SELECT at FROM _sg_erased WHERE late")}
    found = [_erasure_status(place, items, late, devices, published) for place, items in groups.items()]
    by_index = tuple(sorted(found, key=lambda each: each.index))
    return Erasures(unfinished, by_index, published, kept_databases(centre.path))


def _devices(ledger: Ledger) -> dict[str, tuple[int, int, bool]]:
    """Return device -> (index of its enrolment, greatest size it named, whether it is revoked)."""
    folded = dict(ledger.conn.execute("SELECT dev, size FROM _sg_folded").fetchall())
    first = ledger.conn.execute("SELECT key, min(idx) FROM _sg_version WHERE tbl = 'device' GROUP BY key ORDER BY key")
    found = {}
    for dev, index in first.fetchall():
        certificate = ledger.certificate(dev, ledger.size)
        found[dev] = (index, folded.get(dev, 0), certificate is None or certificate.revoked)
    return found


def _erasure_status(
    place: tuple[RowKey, str],
    items: list[tuple[str, int]],
    late: set[int],
    devices: dict[str, tuple[int, int, bool]],
    published: dict[str, int],
) -> ErasureStatus:
    (table, key), reason = place
    index = max(at for _name, at in items)
    waiting = (
        Waiting(dev, folded, revoked)
        for dev, (enrolled, folded, revoked) in devices.items()
        if enrolled < index and folded <= index
    )
    fields = tuple(sorted({name for name, _at in items}))
    stale = tuple(str(Path(folder)) for folder, size in published.items() if size <= index)
    count = sum(at in late for _name, at in items)
    return ErasureStatus(table, key, reason, fields, len(items), count, index, tuple(waiting), stale)
