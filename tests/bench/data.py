"""What the benches merge: signed changesets of five-column rows, made fast, taken in by a real centre."""

import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncgov.centre.intake import Incoming, authenticate
from syncgov.core.canonical import b64u
from syncgov.core.clock import Stamp
from syncgov.core.commitment import Value
from syncgov.core.keys import SigningKey
from syncgov.core.register import Register, RegisterSet, parse_register
from syncgov.core.statement import Seen, envelope_hash
from syncgov.storage import capture
from syncgov.storage.files import system_registers
from syncgov.storage.state import RowKey, StoredRow
from tests.helpers import NOW_MS, World

HOUSE = """\
register: house
version: 1
label: 房屋
help: 上级记录
key: uuid
skeleton: {}
write: [worker]
read: {public: ['*']}
fields:
  name: {label: 名称, type: text, class: public, max_length: 40, required: true}
  place: {label: 网格, type: text, class: public, max_length: 12}
  amount: {label: 数目, type: integer, class: public}
  day: {label: 日期, type: date, class: public}
  note: {label: 备注, type: text, class: public, max_length: 80}
"""

VISIT_LINE = """\
register: house_line
version: 1
label: 明细
help: 子记录，五栏
key: uuid
parent: record
skeleton: {}
write: [worker]
read: {public: ['*']}
fields:
  record: {label: 房屋, type: text, class: public, ref: house, required: true}
  name: {label: 名称, type: text, class: public, max_length: 40}
  place: {label: 网格, type: text, class: public, max_length: 12}
  amount: {label: 数目, type: integer, class: public}
  day: {label: 日期, type: date, class: public}
"""

PARENT, CHILD = "house", "house_line"


def registers() -> list[Register]:
    """Return the two registers of the benches."""
    return [parse_register(HOUSE, "house.yml"), parse_register(VISIT_LINE, "house_line.yml")]


def register_set() -> RegisterSet:
    """Return them with those of the protocol."""
    return RegisterSet([*system_registers(), *registers()])


def parent_columns(number: int) -> dict[str, Value]:
    """Return the five columns of a parent row."""
    return {
        "name": f"第 {number} 户",
        "place": "101001",
        "amount": number,
        "day": "2026-11-20",
        "note": f"备注 {number}",
    }


def child_columns(number: int, parent: str) -> dict[str, Value]:
    """Return the five columns of a child row."""
    return {"record": parent, "name": f"第 {number} 户", "place": "101001", "amount": number, "day": "2026-11-20"}


def key_at(number: int) -> str:
    """Return a UUIDv7 made a second after that of *number* − 1: as on devices, keys grow with time."""
    random_bits = hashlib.sha256(number.to_bytes(8, "big", signed=True)).digest()
    raw = bytearray((NOW_MS + 1000 * number).to_bytes(6, "big") + random_bits[:10])
    raw[6], raw[8] = 0x70 | raw[6] & 0x0F, 0x80 | raw[8] & 0x3F
    return str(uuid.UUID(bytes=bytes(raw)))


Rows = Sequence[tuple[RowKey, dict[str, Value]]]
RowsOf = Callable[[int], Rows]


def one_row(number: int) -> Rows:
    """Return the rows of changeset *number*: one parent row."""
    return [((PARENT, key_at(number)), parent_columns(number))]


def hundred_rows(number: int) -> Rows:
    """Return the rows of changeset *number*: a hundred children of one record."""
    parent = key_at(number)
    return [((CHILD, key_at(1_000_000 + n)), child_columns(n, parent)) for n in range(number * 100, number * 100 + 100)]


@dataclass(slots=True)
class Pen:
    """Signs as a device does, without its tables. `seq`, `prev`: the end of its chain."""

    key: SigningKey
    seq: int
    prev: str
    seen: Seen

    def sign(self, rows: Rows, all_registers: RegisterSet, at: int = NOW_MS) -> capture.Signed:
        """Return a changeset of new rows."""
        writes: list[capture.FieldWrite] = []
        for row, columns in rows:
            register = all_registers[row[0]]
            change = capture.diff_row(register, row, columns, StoredRow())
            assert change is not None
            writes += capture.field_writes(register, change, StoredRow())
        author = capture.Author(self.key, self.seq + 1, self.prev, self.seen, Stamp(at, 0), None)
        signed = capture.sign_writes(writes, author, all_registers, self.seq.to_bytes(32, "big"))
        self.seq, self.prev = self.seq + 1, envelope_hash(signed.envelope)
        return signed


def pen_of(world: World, name: str = "pen") -> Pen:
    """Return a pen for a device of *world* that has joined."""
    replica = world.device(name)
    size = world.centre.ledger.size
    seen = Seen(b64u(world.centre.ledger.root(size)), size)
    return Pen(replica.key_file.key, 0, replica.meta.get("last_hash"), seen)


def signed_by(pen: Pen, numbers: range, rows_of: RowsOf) -> Iterator[capture.Signed]:
    """Yield the changesets of *numbers*."""
    all_registers = register_set()
    for number in numbers:
        yield pen.sign(rows_of(number), all_registers)


def log(world: World, changesets: Iterator[capture.Signed], batch: int = 1000) -> None:
    """Let the centre take them in, all accepted."""
    waiting: list[Incoming] = []
    for signed in changesets:
        waiting.append(authenticate(world.centre.ledger, signed.envelope, signed.raw_body))
        if len(waiting) == batch:
            _push(world, waiting)
            waiting = []
    _push(world, waiting)


def _push(world: World, waiting: list[Incoming]) -> None:
    outcomes = world.centre.push(waiting)
    assert {outcome.verdict for outcome in outcomes} <= {"accepted"}


def make_world(folder: Path) -> World:
    """Return a centre with the registers of the benches."""
    return World.make(folder, registers())
