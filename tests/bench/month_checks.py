"""After the month: every change has a fate, every replica is its filtered fold, the sums agree."""

from collections import Counter
from dataclasses import dataclass, field

from syncgov.core.commitment import open_body
from syncgov.core.fold import FoldWrite, RowKey, fold_leaf
from syncgov.core.merge import RowState, shown_row
from syncgov.core.register import Register, RegisterSet
from syncgov.core.statement import parse_leaf
from syncgov.storage.ledger import Ledger
from syncgov.storage.replica import Replica
from syncgov.storage.schema import columns_for, key_column, to_sql
from tests.bench.month_days import Month
from tests.bench.village import Handset


@dataclass
class Result:
    """What the month came to.

    Attributes:
        fates: (kind of handset, fate) -> changesets. lost: (device, seq) of changesets without any fate.
        rows: rows compared with the reference fold. different: handset and table where they differ.
        accepted: by the centre; `own`: the sum of what the devices themselves say of their changesets.
    """

    fates: Counter[tuple[str, str]] = field(default_factory=Counter)
    lost: list[tuple[str, int]] = field(default_factory=list)
    rows: int = 0
    replicas: int = 0
    different: list[str] = field(default_factory=list)
    accepted: int = 0
    own: int = 0
    stopped: int = 0
    leaves: int = 0

    @property
    def whole(self) -> bool:
        """Whether everything the month promises holds."""
        return not self.lost and not self.different and self.accepted == self.own + self.stopped


def check(month: Month) -> Result:
    """Return what became of everything. Reads the log with the reference fold alone."""
    result = Result(leaves=month.world.centre.ledger.size)
    _fates(month, result)
    _sums(month, result)
    _replicas(month, result)
    return result


def _fates(month: Month, result: Result) -> None:
    ledger, book = month.world.centre.ledger, month.book
    for digest, signed in book.signed.items():
        index = ledger.index_of(digest)
        if index is not None:
            fate = ledger.leaf(index).verdict
        elif (signed.dev, signed.seq) in book.renewed:
            fate = "signed anew under another key"
        elif digest in book.overwritten:
            fate = "overwritten by an older copy before it was sent"
        else:
            fate = "LOST"
            result.lost.append((signed.dev, signed.seq))
        result.fates[signed.kind, fate] += 1


def _sums(month: Month, result: Result) -> None:
    """Centre: accepted leaves of devices that signed here. Devices: what their own files say, the old ones included."""
    ledger = month.world.centre.ledger
    living = {handset.dev: handset for handset in month.handsets if not handset.stopped}
    registrar = month.world.centre.registrar.id
    for _index, raw, _body in ledger.entries(0, ledger.size):
        leaf = parse_leaf(raw)
        if leaf.accepted and leaf.changeset.statement.dev != registrar:
            result.accepted += 1
            # a key that was stopped learns no more verdicts: its entries are counted at the centre alone
            result.stopped += leaf.changeset.statement.dev not in living
    for handset in living.values():
        with month.opened(handset) as replica:
            found = replica.conn.execute("SELECT count(*) FROM _sg_own WHERE verdict = 'accepted'").fetchone()
            result.own += int(found[0])


def fold_all(ledger: Ledger) -> dict[RowKey, RowState]:
    """Fold the whole log with the reference fold."""
    state: dict[RowKey, RowState] = {}
    for index, raw, raw_body in ledger.entries(0, ledger.size):
        leaf = parse_leaf(raw)
        if leaf.accepted:
            body = open_body(raw_body, leaf.changeset.statement)
            writes = [FoldWrite(*write) for _position, write in body.disclosed()]
            fold_leaf(state, index, leaf, writes, ledger.registers(index))
    return state


def _replicas(month: Month, result: Result) -> None:
    ledger = month.world.centre.ledger
    registers = ledger.registers(ledger.size)
    state = fold_all(ledger)
    tables: dict[str, dict[str, RowState]] = {}
    for (table, key), row in state.items():
        if row.alive and table in registers and not registers[table].system:
            tables.setdefault(table, {})[key] = row
    areas = {row: _area(registers, tables, *row) for row in state if row[0] in tables and row[1] in tables[row[0]]}
    for handset in month.handsets:
        if handset.stopped:
            continue
        with month.opened(handset) as replica:
            result.replicas += 1
            for table, rows in tables.items():
                _compare(handset, replica, registers[table], rows, areas, result)


def _area(registers: RegisterSet, tables: dict[str, dict[str, RowState]], table: str, key: str) -> str | None:
    """Return where a row's record is: its own area, or that of its parent's row; None for everybody's."""
    register = registers[table]
    shows = shown_row(tables[table][key], register)
    if register.parent is not None and register.parent_register is not None:
        parent = str(shows[register.parent])
        return (
            _area(registers, tables, register.parent_register, parent)
            if parent in tables[register.parent_register]
            else "-"
        )
    if register.area is None:
        return None
    declared = register.column_field(register.area)
    return str(declared.columns_of(shows.get(declared.name)).get(register.area))  # type: ignore[arg-type]


def _compare(
    handset: Handset,
    replica: Replica,
    register: Register,
    rows: dict[str, RowState],
    areas: dict[RowKey, str | None],
    result: Result,
) -> None:
    columns = columns_for(register, {handset.role})
    expected: set[tuple[object, ...]] = set()
    for key, row in rows.items():
        area = areas[register.name, key]
        if columns and (area is None or area.startswith(handset.areas)):
            shows = shown_row(row, register)
            values: dict[str, object] = {}
            for declared in register.fields:
                values.update(declared.columns_of(shows.get(declared.name)))  # type: ignore[arg-type]
            expected.add((key, *(to_sql(column, values.get(column.name)) for column in columns)))  # type: ignore[arg-type]
    found: set[tuple[object, ...]] = set()
    if register.name in replica.columns:
        names = ", ".join(f'"{column.name}"' for column in columns)
        found = set(replica.conn.execute(f'SELECT "{key_column(register)}", {names} FROM "{register.name}"').fetchall())
    result.rows += len(expected)
    if found != expected:
        difference = f"{len(found - expected)} rows too many, {len(expected - found)} missing"
        result.different.append(f"{handset.name} ({handset.kind}) {register.name}: {difference}")
