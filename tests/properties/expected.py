"""What a log says, by the reference fold alone: what each device must hold, and whether the log itself is in order."""

from collections import Counter

from syncgov.core.commitment import Value, open_body
from syncgov.core.merge import FieldState, Hidden, RowState, shown_row
from syncgov.core.note import verify_checkpoint
from syncgov.core.register import SYSTEM_NAMES, RegisterSet
from syncgov.core.statement import parse_changeset, parse_leaf
from syncgov.core.tree import leaf_hash
from syncgov.core.trust_view import Certificate
from syncgov.storage import capture
from syncgov.storage.erasing import load_erasures
from syncgov.storage.ledger import Ledger
from syncgov.storage.replica import Replica
from syncgov.storage.schema import key_column
from syncgov.storage.state import field_state, load_row
from tests.erasing import reference

RowKey = tuple[str, str]
Rows = dict[RowKey, dict[str, FieldState]]


def visible(state: dict[RowKey, RowState], certificate: Certificate, registers: RegisterSet) -> Rows:
    """Return what a device of *certificate* may hold of *state*: rows of its areas, fields of its roles."""
    found: Rows = {}
    for row, fields in state.items():
        register = registers[row[0]]
        if register.system or not _is_inside(state, row, certificate, registers):
            continue
        kept = {
            name: each
            for name, each in fields.fields.items()
            if register.may_read(certificate.roles, register.class_of(name))
        }
        if kept:
            found[row] = kept
    return found


def _is_inside(state: dict[RowKey, RowState], row: RowKey, certificate: Certificate, registers: RegisterSet) -> bool:
    register = registers[row[0]]
    if register.parent is not None and register.parent_register is not None:
        row = (register.parent_register, str(shown_row(state[row], register)[register.parent]))
        register = registers[row[0]]
    if register.area is None or row not in state:
        return True
    area = shown_row(state[row], register).get(register.column_field(register.area).name)
    return not isinstance(area, str) or area.startswith(certificate.areas)


def stored(replica: Replica) -> Rows:
    """Return the heads that a replica holds."""
    keys = replica.conn.execute("SELECT tbl, key FROM _sg_row").fetchall()
    rows = {row: load_row(replica.conn, row) for row in keys if row[0] not in SYSTEM_NAMES}
    assert not any(each.own for each in rows.values()), "something has no verdict"
    return {
        row: {name: field_state(raw) for name, raw in each.fields.items()} for row, each in rows.items() if each.fields
    }


def check_replica(ledger: Ledger, replica: Replica) -> int:
    """Compare heads and tables of a replica that has just synced with the reference; returns the number of its rows."""
    registers = ledger.registers(ledger.size)
    certificate = ledger.certificate(replica.dev, ledger.size)
    assert certificate is not None
    assert replica.seen.size == ledger.size
    assert replica.registers.digest == registers.digest
    wanted = visible(reference(ledger), certificate, registers)
    assert stored(replica) == wanted
    count = 0
    for table, columns in replica.columns.items():
        register = registers[table]
        if register.system:
            continue
        lives = {key: RowState(fields) for (name, key), fields in wanted.items() if name == table}
        lives = {key: state for key, state in lives.items() if state.alive}
        keys = replica.conn.execute(f'SELECT "{key_column(register)}" FROM "{table}"').fetchall()
        assert {key for (key,) in keys} == set(lives)
        for key, state in lives.items():
            shows: dict[str, Value] = {}
            for name, value in shown_row(state, register).items():
                shows |= register.field(name).columns_of(None if isinstance(value, Hidden) else value)
            wanted_columns = {c.name: shows.get(c.name) for c in columns}
            assert capture.read_columns(replica.conn, register, columns, key) == wanted_columns
            count += 1
    return count


def check_erased(ledger: Ledger, replica: Replica) -> int:
    """Check that nothing the log erases is left in the centre's bodies or those of a device; returns how many are."""
    named: dict[tuple[str, int], set[tuple[int, str]]] = {}
    for one in load_erasures(ledger.conn):
        named.setdefault(one.slot[0], set()).add((one.slot[1], one.path))
    held = [(raw, body) for _index, raw, body in ledger.entries(0, ledger.size)]
    held += replica.conn.execute("SELECT leaf, body FROM _sg_leaf WHERE length(body) > 0").fetchall()
    for raw, raw_body in held:
        st = parse_leaf(raw).changeset.statement
        writes = {(position, write.path) for position, write in open_body(raw_body, st).disclosed()}
        assert not writes & named.get(st.dot, set()), "something erased is still there"
    for raw, raw_body in replica.conn.execute("SELECT envelope, body FROM _sg_own WHERE length(body) > 0"):
        st = parse_changeset(raw).statement
        writes = {(position, write.path) for position, write in open_body(raw_body, st).disclosed()}
        assert not writes & named.get(st.dot, set()), "something erased is still in an own changeset"
    return sum(map(len, named.values()))


class Watch:
    """Remembers every size and root that a centre has shown, and what it promised; the log may only grow."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._leaves: list[bytes] = []
        self._roots: dict[int, bytes] = {}

    def look(self) -> None:
        """Check the newest checkpoint against all that was seen before."""
        ledger = self._ledger
        checkpoint = verify_checkpoint(ledger.meta.get("checkpoint"), ledger.charter.log)
        for size, root in self._roots.items():
            assert ledger.root(size) == root
        assert checkpoint.size == ledger.size >= len(self._leaves)
        new = [leaf_hash(raw) for _i, raw, _b in ledger.entries(len(self._leaves), ledger.size)]
        self._leaves += new
        self._roots[checkpoint.size] = checkpoint.root
        assert ledger.root(checkpoint.size) == checkpoint.root

    def look_at_all(self, pushed: set[str]) -> Counter[str]:
        """Check every leaf and every changeset that reached the centre; returns how often each verdict was given."""
        ledger = self._ledger
        self.look()
        leaves = [parse_leaf(raw) for _i, raw, _b in ledger.entries(0, ledger.size)]
        assert [leaf_hash(leaf.raw) for leaf in leaves] == self._leaves
        used = [leaf.changeset.statement.dot for leaf in leaves if leaf.verdict != "refused:fork"]
        assert len(used) == len(set(used)), "a dot was used twice"
        waiting = ledger.conn.execute("SELECT envelope FROM _sg_waiting").fetchall()
        held = {parse_changeset(raw).envelope.hash for (raw,) in waiting}
        logged = {leaf.changeset.envelope.hash for leaf in leaves}
        assert pushed <= logged | held, "something was neither judged nor kept"
        return Counter(leaf.verdict for leaf in leaves)


def check_promises(ledger: Ledger, replica: Replica) -> int:
    """Check that every changeset that the centre acknowledged stands in its log; returns their number."""
    found = replica.conn.execute(
        "SELECT coalesce(idx, ack), envelope, verdict FROM _sg_own WHERE coalesce(idx, ack) IS NOT NULL"
    ).fetchall()
    for index, raw, verdict in found:
        leaf = ledger.leaf(index)
        assert leaf.changeset.envelope.raw == raw
        assert verdict in (None, leaf.verdict)
    return len(found)
