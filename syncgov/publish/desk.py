"""What a person decides about texts for the public: which wait, approve one, write one anew.

Waiting are texts that a detector stops at, withheld already or not, and texts that neither a publisher nor the
registrar wrote or approved. Approved is what was withheld once and is no longer. Source: protocol page, section 9.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from syncgov.core.commitment import Dot, Path, Value, Write, format_path, open_body
from syncgov.core.merge import Head
from syncgov.core.public_log import slot_key
from syncgov.core.register_model import REGISTRAR, Field, Register
from syncgov.core.statement import Leaf, parse_leaf
from syncgov.errors import InputError
from syncgov.publish.detectors import LABELS, Match
from syncgov.publish.review import Reader, withholding
from syncgov.publish.snapshot import Rows, Snapshot, take_snapshot
from syncgov.storage.ledger import Ledger
from syncgov.storage.state import RowKey, StoredRow, field_state
from syncgov.storage.wording import record_words

WITHHOLDINGS = "withholding"
REVIEW, PRIVACY = "review", "privacy"  # why: nobody has looked yet; somebody has
APPROVERS = frozenset({"publisher", REGISTRAR})  # what they word themselves is approved, unless a detector stops at it
MARKS = ("【", "】")  # around what a detector stopped at


class Desk(Protocol):
    """Somebody who decides; see `centre.desk`."""

    def reader(self) -> Ledger:
        """Return a ledger for reading."""
        ...

    def write(self, table: str, rows: Rows) -> list[int]:
        """Write rows of a system register as the registrar."""
        ...

    def write_text(self, row: RowKey, name: str, text: str) -> int:
        """Write a text as a publisher; returns the index of its leaf."""
        ...


@dataclass(frozen=True, slots=True)
class Item:
    """A text that waits for a person.

    Attributes:
        id: `<leaf>.<position>` of the write that holds it; it never changes and is never used again.
        state: `withheld`; `hit`: the next publication withholds it; `unread`: no detector stops at it, nobody approved.
        label: what people call the record. by: who wrote it, if the device said so.
        slot: the key of its withholding.
    """

    id: str
    state: str
    table: str
    key: str
    label: str
    field: str
    field_label: str
    community: str
    text: str
    matches: tuple[Match, ...]
    device: str
    roles: tuple[str, ...]
    by: str | None
    received_ms: int
    slot: str
    write: Write

    @property
    def order(self) -> tuple[int, int]:
        """Where it stands in the list: in the order of the log."""
        index, _, position = self.id.partition(".")
        return int(index), int(position)


@dataclass(frozen=True, slots=True)
class Replaced:
    """A text that was written anew: the old item, the id of the new one."""

    old: str
    new: str


def waiting(ledger: Ledger, community: str = "", table: str = "") -> list[Item]:
    """Return the texts that wait, in the order of the log.

    Args:
        community: a code, or the beginning of one. table: the name or the label of a register; empty: all.

    Raises:
        InputError: no such register, or none that has texts for the public.
    """
    with take_snapshot(ledger) as snapshot:
        chosen = _registers(snapshot, table)
        finder = _Finder(snapshot)
        found = [item for register, fields in chosen for item in finder.items(register, fields)]
    return sorted((item for item in found if item.community.startswith(community)), key=lambda item: item.order)


def approve(desk: Desk, ids: Sequence[str]) -> list[Item]:
    """Approve texts as they stand: the next publication shows them. All of them or none.

    Raises:
        InputError: nothing waits under one of the ids.
    """
    items = _pick(desk.reader(), ids)
    rows: list[tuple[str, Mapping[str, Value] | None]] = []
    for item in items:
        if item.state != "withheld":
            rows.append((item.slot, withholding(item.write)))
        rows.append((item.slot, None))
    desk.write(WITHHOLDINGS, rows)
    return items


def replace(desk: Desk, item_id: str, text: str, *, sure: bool = False) -> Replaced:
    """Write a text anew. The old one stays withheld, now for reasons of privacy.

    Args:
        sure: publish the new text although a detector stops at it.

    Raises:
        InputError: nothing waits under that id; an empty text, or one that a detector stops at.
        NotAllowedError: the register does not let a publisher write the field.
    """
    ledger = desk.reader()
    (item,) = _pick(ledger, [item_id])
    path = Path(item.table, item.key, item.field)
    if not text.strip():
        raise InputError("新文字是空的", "the new text is empty")
    matches = Reader(ledger, ledger.registers(ledger.size)).matches(path, text)
    if matches and not sure:
        raise InputError(
            f"新文字里还有：{matches_words(matches)}；请再改，确认可以公开再加 --sure",
            f"the new text still has {matches_words(matches, 1)}; change it, or add --sure if it may be published",
        )
    if item.state != "withheld":
        desk.write(WITHHOLDINGS, [(item.slot, withholding(item.write))])
    index = desk.write_text((item.table, item.key), item.field, text)
    # only now: had the new text been refused, the old one would still wait
    desk.write(WITHHOLDINGS, [(item.slot, {"reason": PRIVACY})])
    leaf, position, write = _locate(ledger, index, str(item.write.path))
    if matches:
        slot = slot_key((leaf.changeset.statement.dot, position))
        desk.write(WITHHOLDINGS, [(slot, withholding(write)), (slot, None)])
    return Replaced(item.id, f"{index}.{position}")


def replace_all(desk: Desk, texts: Sequence[tuple[str, str]], *, sure: bool = False) -> list[Replaced]:
    """Write several texts anew, as `replace`. Nothing is written if nothing waits under one of the ids."""
    _pick(desk.reader(), [item_id for item_id, _text in texts])
    return [replace(desk, item_id, text, sure=sure) for item_id, text in texts]


def matches_words(matches: Sequence[Match], language: int = 0) -> str:
    """Return what was found, in words: `手机号 139…、身份证号 …`; *language* 0 is Chinese, 1 English."""
    return ("、" if language == 0 else ", ").join(f"{LABELS[m.detector][language]} {m.text}" for m in matches)


def marked(text: str, matches: Sequence[Match]) -> str:
    """Return *text* with marks around what detectors stopped at; overlapping matches share theirs."""
    parts: list[str] = []
    done = 0
    for start, end in _spans(matches):
        parts += [text[done:start], MARKS[0], text[start:end], MARKS[1]]
        done = end
    return "".join([*parts, text[done:]])


def _spans(matches: Sequence[Match]) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for match in sorted(matches, key=lambda each: each.start):
        if spans and match.start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], match.end))
        else:
            spans.append((match.start, match.end))
    return spans


def _pick(ledger: Ledger, ids: Sequence[str]) -> list[Item]:
    found = {item.id: item for item in waiting(ledger)}
    unknown = [each for each in dict.fromkeys(ids) if each not in found]
    if unknown:
        raise InputError(
            f"没有待审核的 {'、'.join(unknown)}：可能已经处理，或被新的文字取代；不加选项运行 review 查看",
            f"nothing waits under {', '.join(unknown)}: decided already, or replaced; run `review` without options",
        )
    return [found[each] for each in dict.fromkeys(ids)]


def _registers(snapshot: Snapshot, table: str) -> list[tuple[Register, list[Field]]]:
    texts = [
        (register, [f for f in register.fields if f.free_text and f.klass == "public"])
        for register in snapshot.registers.values()
        if not register.system
    ]
    chosen = [(r, fields) for r, fields in texts if fields and table in ("", r.name, r.label)]
    if table and not chosen:
        names = "、".join(f"{r.name}（{r.label}）" for r, fields in texts if fields)
        raise InputError(
            f"没有带公开文字的登记册 {table}；有：{names}", f"no register {table} with texts; there are {names}"
        )
    return chosen


def _locate(ledger: Ledger, index: int, path: str) -> tuple[Leaf, int, Write]:
    """Return the leaf at *index*, and position and write of *path* in it."""
    ((_index, raw, raw_body),) = ledger.entries(index, index + 1)
    leaf = parse_leaf(raw)
    body = open_body(raw_body, leaf.changeset.statement)
    position, write = next((p, w) for p, w in body.disclosed() if w.path == path)
    return leaf, position, write


class _Finder:
    """Finds what waits in one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._ledger = snapshot.ledger
        self._reader = Reader(snapshot.ledger, snapshot.registers)
        self._decided = {(_dot(slot), stored.shown("path", None)): stored for slot, stored in self._withholdings()}

    def _withholdings(self) -> Iterator[tuple[str, StoredRow]]:
        return iter(self._ledger.rows(WITHHOLDINGS))

    def items(self, register: Register, fields: Sequence[Field]) -> Iterator[Item]:
        """Yield what waits in the rows of a register."""
        for key, row in self._ledger.rows(register.name):
            for declared in fields if row.alive else ():
                for head in field_state(row.fields[declared.name]).heads if declared.name in row.fields else ():
                    if isinstance(head.value, str) and head.value:
                        yield from self._item(register, declared, (register.name, key), row, head)

    def _item(self, register: Register, declared: Field, place: RowKey, row: StoredRow, head: Head) -> Iterator[Item]:
        path, text = Path(*place, declared.name), str(head.value)
        matches = self._reader.matches(path, text)
        state = self._state(head, format_path(*path), bool(matches))
        if not state:
            return
        leaf, position, write = _locate(self._ledger, head.index, format_path(*path))
        st = leaf.changeset.statement
        if position >= st.pub:
            return
        certificate = self._ledger.certificate(st.dev, head.index)
        columns = {n: v for f in register.fields for n, v in f.columns_of(row.shown(f.name, register)).items()}
        yield Item(
            id=f"{head.index}.{position}",
            state=state,
            table=register.name,
            key=place[1],
            label=record_words(register, *place, columns),
            field=declared.name,
            field_label=declared.label,
            community=str(row.shown("_community", register) or ""),
            text=text,
            matches=matches,
            device=st.dev,
            roles=tuple(sorted(certificate.roles)) if certificate is not None else (),
            by=self._ledger.conn.execute("SELECT by FROM _sg_leaf WHERE idx = ?", (head.index,)).fetchone()[0],
            received_ms=leaf.received,
            slot=slot_key((st.dot, position)),
            write=write,
        )

    def _state(self, head: Head, path: str, hit: bool) -> str:
        """Return the state of a text, empty if nobody has to look at it."""
        row = self._decided.get((head.dot, path))
        if row is not None:
            return "withheld" if row.alive and row.shown("reason", None) == REVIEW else ""
        if hit:
            return "hit"
        certificate = self._ledger.certificate(head.dev, head.index)
        return "" if certificate is not None and certificate.roles & APPROVERS else "unread"


def _dot(slot: str) -> Dot:
    dev, seq, _position = slot.split(".")
    return dev, int(seq)
