"""Matters of a sensitive kind: their rows do not say so, and their number is published only where it is not small.

A register declares which of its code columns may be sensitive (`sensitive`), and a list which codes are. Source:
protocol page, section 9.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random, SystemRandom

from syncgov.core.commitment import Write, parse_path
from syncgov.core.public_log import slot_key
from syncgov.core.publication import published_registers
from syncgov.core.register_model import Register
from syncgov.core.suppression import SMALLEST, TOTAL, hidden_cells
from syncgov.publish.review import Hit, withholding
from syncgov.publish.snapshot import Snapshot
from syncgov.storage.connection import quote
from syncgov.storage.ledger import Ledger
from syncgov.storage.schema import key_column
from syncgov.storage.state import load_row

REASON = "privacy"
PUBLICATION = "publication"  # the register whose newest row is the last publication
_NOTE = f"敏感类别不逐条公开类别；不足 {SMALLEST} 件的，和为了不让人推算出它而一起不公布的，不在此列"
_CHANCE = SystemRandom()  # who knew the dice could tell which rows are hidden only to hide the others


@dataclass(slots=True)
class _Row:
    """A row as far as it counts here.

    Attributes:
        codes: every one it ever had. hits: what would hide those that show. withheld: how many are, or were, hidden.
        known: whether an earlier publication showed it.
    """

    place: str = ""
    month: str = ""
    codes: set[str] = field(default_factory=set)
    hits: list[Hit] = field(default_factory=list)
    withheld: int = 0
    known: bool = False


def find_sensitive(snapshot: Snapshot, chance: Random = _CHANCE) -> list[Hit]:
    """Return the withholdings by which no row shows a sensitive code.

    In each community and month as many other rows are hidden with them, at least so many that five are: else it would
    be enough to count the rows that hide something. Rows that a person released stay released.
    """
    hits: list[Hit] = []
    for register in published_registers(snapshot.registers):
        codes = sensitive_codes(snapshot.ledger, register)
        if codes:
            cells: dict[tuple[str, str], list[_Row]] = {}
            for row in _rows(snapshot, register).values():
                cells.setdefault((row.place, row.month), []).append(row)
            for rows in cells.values():
                hits += _hide(rows, codes, chance)
    return hits


def _hide(rows: list[_Row], codes: frozenset[str], chance: Random) -> Iterator[Hit]:
    """Yield what hides the sensitive rows of one community and month, and the others that are hidden with them."""
    fresh = [row for row in rows if row.hits and (row.codes & codes or row.withheld)]
    if not fresh:
        return
    others = [row for row in rows if row.hits and not (row.codes & codes or row.withheld)]
    chance.shuffle(others)
    others.sort(key=lambda row: row.known)  # whose code is in a folder that somebody has hides nobody
    already = sum(row.withheld > 0 and not row.hits for row in rows)
    chosen = [*fresh, *others[: max(len(fresh), SMALLEST - len(fresh) - already)]]
    chance.shuffle(chosen)  # the log keeps the order in which they are withheld
    for row in chosen:
        yield from row.hits


def sensitive_codes(ledger: Ledger, register: Register) -> frozenset[str]:
    """Return the codes of *register* that its list flags as sensitive now."""
    declared = register.portal.get("sensitive")
    if not declared:
        return frozenset()
    listed = ledger.registers(ledger.size)[declared["listed"]]
    sql = f"SELECT {quote(key_column(listed))} FROM {quote(listed.name)} WHERE {quote(declared['flag'])} = 1"
    return frozenset(str(row[0]) for row in ledger.conn.execute(sql))


def _rows(snapshot: Snapshot, register: Register) -> Mapping[str, _Row]:
    """Return every row of a register that the log ever showed, by key."""
    column = register.portal["sensitive"]["column"]
    rows: dict[str, _Row] = {}
    published: list[_Row] = []
    for entry in snapshot.entries(0):
        if not entry.leaf.accepted:
            continue
        st = entry.leaf.changeset.statement
        for position, write in entry.body.disclosed():
            path = parse_path(write.path)
            if path.table == PUBLICATION:
                published = list(rows.values())
            if position < st.pub and path.table == register.name:
                row = rows.setdefault(path.key, _Row())
                if path.field == column:
                    _take(snapshot, row, slot_key((st.dot, position)), write)
                elif path.field == "_community":
                    row.place = str(write.value)
                elif path.field == "_month":
                    row.month = str(write.value)
    for row in published:
        row.known = True
    return rows


def _take(snapshot: Snapshot, row: _Row, key: str, write: Write) -> None:
    if write.value is None:
        return
    row.codes.add(str(write.value))
    if load_row(snapshot.ledger.conn, ("withholding", key)).fields:
        row.withheld += 1
    else:
        row.hits.append((key, withholding(write, REASON)))


def sensitive_counts(ledger: Ledger, register: Register) -> Iterator[tuple[str, str, int, str]]:
    """Yield (name, label, number, note) of the totals of sensitive codes that may be published, and of all of them."""
    codes = sensitive_codes(ledger, register)
    if not codes:
        return
    column = str(register.portal["sensitive"]["column"])
    labels = {choice.code: choice.label for choice in register.column_field(column).columns[0].choices}
    sql = f"SELECT {quote(column)}, count(*) FROM {quote(register.name)} GROUP BY 1"
    found = {str(code): int(number) for code, number in ledger.conn.execute(sql)}
    counts = {code: found.get(code, 0) for code in sorted(codes)}
    hidden = hidden_cells(counts)
    for code, number in counts.items():
        if code not in hidden:
            yield f"{register.name}_{column}_{code}", f"{register.label}：{labels.get(code, code)}", number, _NOTE
    if TOTAL not in hidden and len(counts) > 1:
        yield f"{register.name}_{column}_sensitive", f"{register.label}：敏感类别合计", sum(counts.values()), _NOTE
