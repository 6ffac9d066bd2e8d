"""What exactly a refusal means, found out by looking at what this device signed: guard and field, step, person.

The leaf names the reason code alone; the rest is in the changeset and in what it replaced, which this device has.
Source: protocol page, sections 11 and 12.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from syncgov.core.commitment import Dot, Value, Write, format_path, meta_path, open_body
from syncgov.core.guards import due_of, empty_columns, is_before_expiry
from syncgov.core.merge import FieldState, Head, shown, workflow_of
from syncgov.core.register_model import Register
from syncgov.core.statement import Changeset, parse_changeset, parse_leaf
from syncgov.core.workflow import PHOTO_GUARD, Transition, Workflow
from syncgov.storage.labels import own_writes
from syncgov.storage.photo_check import photo_words, photos_wanted
from syncgov.storage.refusals import refusal
from syncgov.storage.replica import Replica
from syncgov.storage.state import RowKey
from syncgov.storage.wording import Language, column_words

_NO_STATE = ("（新建）", "(new)")


@dataclass(frozen=True, slots=True)
class _Step:
    """A write of a workflow's field, with what it replaced: the value that showed, and who had written it."""

    register: Register
    workflow: Workflow
    key: str
    value: Value
    before: Value
    authors: tuple[str | None, ...]


def refusal_words(replica: Replica, seq: int, verdict: str, language: Language) -> tuple[str, str]:
    """Return why own changeset *seq* was refused, as exactly as this device can tell, and what to do."""
    why, remedy = refusal(verdict).words(language)
    index = 0 if language == "zh" else 1
    found = [pair[index] for pair in _details(replica, seq, verdict.removeprefix("refused:"))]
    if found:
        why = f"{why}：{'；'.join(found)}" if language == "zh" else f"{why}: {'; '.join(found)}"
    return why, remedy


def _details(replica: Replica, seq: int, code: str) -> Iterator[tuple[str, str]]:
    changeset = parse_changeset(_own(replica, seq)[0])
    if code == "guard":
        for step in _steps(replica, seq):
            yield from _unmet(replica, step, changeset)
    elif code == "transition":
        for step in _steps(replica, seq):
            yield _impossible(step)
    elif code == "person":
        by = _author(replica, changeset.statement.dot)
        yield (f"填报人 {by}", f"person {by}") if by else ("没有写明填报人", "nobody was named")
    elif code == "role":
        yield from _not_writable(replica, seq)


def _own(replica: Replica, seq: int) -> tuple[bytes, bytes]:
    found = replica.conn.execute("SELECT envelope, body FROM _sg_own WHERE seq = ?", (seq,)).fetchone()
    return bytes(found[0]), bytes(found[1])


def _steps(replica: Replica, seq: int) -> Iterator[_Step]:
    for path, write in own_writes(replica, seq):
        register = replica.registers.get(path.table)
        workflow = workflow_of(register, path.field)
        if register is not None and workflow is not None:
            before, authors = _replaced(replica, (path.table, path.key), register, write)
            yield _Step(register, workflow, path.key, write.value, before, authors)


def _replaced(replica: Replica, row: RowKey, register: Register, write: Write) -> tuple[Value, tuple[str | None, ...]]:
    """Return what the write replaced, as far as this device holds it: what it showed, and by whom it was."""
    assert register.workflow is not None
    name = register.workflow.field
    found = [(dot, *each) for dot in write.over if (each := _logged(replica, dot, format_path(*row, name))) is not None]
    gone = {dot for _dot, _place, other in found for dot in other.over}
    standing = [(dot, place, other) for dot, place, other in found if dot not in gone]
    heads = tuple(Head(*dot, *place, other.value) for dot, place, other in sorted(standing, key=lambda one: one[1]))
    value = shown(FieldState(heads), register.field(name), register.workflow) if heads else None
    authors = tuple(_author(replica, dot) for dot, _place, _other in standing)
    return value, authors  # type: ignore[return-value]  # nothing here is withheld


def _logged(replica: Replica, dot: Dot, path: str) -> tuple[tuple[int, int, int], Write] | None:
    """Return (index, effective ms, tick) and the accepted write of *path* by *dot*, None if it is not known here."""
    found = replica.conn.execute(
        "SELECT idx, leaf, body FROM _sg_leaf WHERE dev = ? AND seq = ? AND accepted ORDER BY idx LIMIT 1", dot
    ).fetchone()
    if found is None:
        return None
    leaf = parse_leaf(bytes(found[1]))
    raw = found[2] if found[2] is not None else _own(replica, dot[1])[1] if dot[0] == replica.dev else b""
    write = open_body(bytes(raw), leaf.changeset.statement).find(path) if raw else None
    return None if write is None else ((found[0], *leaf.effective), write)


def _author(replica: Replica, dot: Dot) -> str | None:
    if dot[0] == replica.dev:
        envelope, body = _own(replica, dot[1])
        st = parse_changeset(envelope).statement
        written = open_body(body, st).find(meta_path(dot, "by")) if body else None
        return written.value if written is not None and isinstance(written.value, str) else None
    found = replica.conn.execute("SELECT by FROM _sg_leaf WHERE dev = ? AND seq = ?", dot).fetchone()
    return None if found is None else found[0]


def _transition(replica: Replica, step: _Step) -> Transition | None:
    """Return the step that it was; where that is not known, the one step of these roles that leads there."""
    target, before = step.workflow.state(step.value), step.workflow.state(step.before)
    fitting = [
        each for each in step.workflow.transitions if each.target == target and not each.roles.isdisjoint(replica.roles)
    ]
    exact = [each for each in fitting if (before or "new") in each.sources]
    return exact[0] if exact else fitting[0] if len(fitting) == 1 else None


def _unmet(replica: Replica, step: _Step, changeset: Changeset) -> Iterator[tuple[str, str]]:
    transition = _transition(replica, step)
    if transition is None:
        return
    name = (f"“{transition.name}”", repr(transition.name))
    columns = {column.name: column.label for column in step.register.field(step.workflow.field).columns}
    for column in empty_columns(transition, step.value):
        yield f"{name[0]}须填“{columns[column]}”", f"{name[1]} needs {column!r}"
    if "before_expiry" in transition.guards and not is_before_expiry(step.before, _effective_ms(replica, changeset)):
        due = due_of(step.before)
        yield (
            f"{name[0]}须在原期限（{due or '无'}）届满前提出",
            f"{name[1]} must come before the deadline ({due}) passes",
        )
    if "second_signature" in transition.guards and changeset.second is None:
        yield f"{name[0]}须由第二人签名（--second）", f"{name[1]} needs a second person's signature (--second)"
    if PHOTO_GUARD in transition.guards:
        missing = photos_wanted(replica, step.register, step.key, _written(replica, changeset.statement.dot[1]))
        if missing:
            zh, en = photo_words(replica, step.register, missing)
            yield f"{name[0]}缺少{zh}", f"{name[1]} lacks photos: {en}"
    if "other_person" in transition.guards:
        yield from _same_person(step, _author(replica, changeset.statement.dot), name)


def _written(replica: Replica, seq: int) -> Iterable[Mapping[str, object]]:
    """Return the rows that a changeset wrote, column -> value."""
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for path, write in own_writes(replica, seq):
        row = rows.setdefault((path.table, path.key), {})
        declared = replica.registers[path.table].find(path.field) if path.table in replica.registers else None
        row |= {path.field: write.value} if declared is None else dict(declared.columns_of(write.value))
    return rows.values()


def _effective_ms(replica: Replica, changeset: Changeset) -> int:
    """Return when the changeset counts; by its own clock as long as its leaf is not here."""
    st = changeset.statement
    found = replica.conn.execute("SELECT leaf FROM _sg_leaf WHERE dev = ? AND seq = ?", st.dot).fetchone()
    return st.at if found is None else parse_leaf(bytes(found[0])).effective[0]


def _same_person(step: _Step, by: str | None, name: tuple[str, str]) -> Iterator[tuple[str, str]]:
    if by is None:
        yield f"{name[0]}须写明填报人（--staff）", f"{name[1]} needs to say who wrote (--staff)"
    elif by in step.authors:
        yield f"{name[0]}须由另一人办理，上一步也是 {by} 办的", f"{name[1]} needs another person than {by}"
    elif None in step.authors:
        yield (
            f"{name[0]}须由另一人办理，而上一步没有写明是谁办的",
            f"{name[1]} needs another person; the last is unnamed",
        )


def _impossible(step: _Step) -> tuple[str, str]:
    columns = step.register.field(step.workflow.field).columns
    column = next(each for each in columns if each.name == step.workflow.state_column)
    states = (step.workflow.state(step.before), step.workflow.state(step.value))
    zh = [_NO_STATE[0] if state is None else column_words(column, state) for state in states]
    en = [_NO_STATE[1] if state is None else column_words(column, state, "en") for state in states]
    return f"不能从“{zh[0]}”到“{zh[1]}”", f"not from {en[0]!r} to {en[1]!r}"


def _not_writable(replica: Replica, seq: int) -> Iterator[tuple[str, str]]:
    for path, _write in own_writes(replica, seq):
        register = replica.registers.get(path.table)
        declared = register.find(path.field) if register is not None else None
        if register is None or declared is None or workflow_of(register, path.field) is not None:
            continue
        if declared.write.isdisjoint(replica.roles) or not register.may_read(replica.roles, declared.klass):
            yield f"“{declared.label}”", f"{register.name}.{declared.name}"
