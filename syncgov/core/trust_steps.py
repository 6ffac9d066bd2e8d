"""What a changeset replaces, what may not change, and the workflow with its guards. Pure.

Source: protocol page, section 11, steps 13 to 15; section 12 (guards).
"""

from syncgov.core.commitment import Value, Write, meta_path, parse_path
from syncgov.core.guards import empty_columns, is_before_expiry
from syncgov.core.merge import WITHHELD, FieldState, Head, HeadValue, Hidden, is_conflict, same, shown
from syncgov.core.photo_guard import ALIVE, columns_that_count, is_certain, missing_photos, photo_register
from syncgov.core.register_model import Register
from syncgov.core.statement import effective_time
from syncgov.core.trust_case import Case, RefusedError, is_new, refuse_unless, replaced_heads
from syncgov.core.trust_view import RowKey
from syncgov.core.workflow import PHOTO_GUARD, Photos, Transition, Workflow, find_transition, needs_review

MAX_HEADS = 64  # so many people never write one field at once; more would only make everybody's changesets large


def check_over(case: Case) -> None:
    """Step 13."""
    for row_writes in case.rows.values():
        for _position, write in row_writes.values():
            for dot in write.over:
                if dot[0] == case.st.dev and dot[1] >= case.st.seq:
                    raise RefusedError("over")
                logged = case.ledger.logged(dot)
                earlier = logged is not None and (
                    case.rebased or dot[0] == case.st.dev or logged.index < case.st.seen.size
                )
                refuse_unless(earlier, "over")
                assert logged is not None
                if logged.find(write.path) is None:
                    refuse_unless(not logged.whole, "over")
                    case.declared.add("over")
            path = parse_path(write.path)
            heads = case.ledger.heads((path.table, path.key), path.field)
            refuse_unless(len(heads) - len(write.over) < MAX_HEADS, "over")


def check_frozen(case: Case) -> None:
    """Step 14: immutable rows, review fields, withdrawals."""
    for row, writes in case.rows.items():
        register = case.registers[row[0]]
        alive = writes.get("_alive")
        if register.immutable and alive is not None:
            refuse_unless(not alive[1].over and alive[1].value is True, "immutable")
            refuse_unless(not case.ledger.exists(row), "immutable")
        for name, (_position, write) in writes.items():
            if not name.startswith("_") and register.field(name).merge == "review":
                heads = replaced_heads(case, write)
                if heads is None:
                    case.declared.add("transition")
                settles = (heads is not None and is_conflict(heads)) or _settles(case, row, name, write)
                refuse_unless(not settles or bool(register.field(name).resolve & case.certificate.roles), "review")


def _settles(case: Case, row: RowKey, name: str, write: Write) -> bool:
    """Whether a conflict that is there now would be gone, be it by naming one head after the other."""
    present = case.ledger.heads(row, name)
    if any(isinstance(head.value, Hidden) for head in present):
        case.declared.add("transition")  # an auditor cannot say what stood there; at the centre nothing is hidden
    if not present or not is_conflict(present):
        return False
    left = [head.value for head in present if head.dot not in write.over]
    return all(same(value, write.value) for value in left)


def check_workflow(case: Case) -> None:
    """Step 15."""
    for row, writes in case.rows.items():
        workflow = case.registers[row[0]].workflow
        if workflow is not None and workflow.field in writes:
            _check_transition(case, row, workflow, writes[workflow.field][1])
        elif workflow is not None:
            refuse_unless(not (case.whole and is_new(case, writes)), "transition")


def _check_transition(case: Case, row: RowKey, workflow: Workflow, write: Write) -> None:
    register = case.registers[row[0]]
    heads = replaced_heads(case, write)
    if heads is None:
        case.declared.add("transition")
        return
    # a step that was already replaced when the writer looked is not where the record stood
    size = case.st.seen.size
    standing = [h for h in heads if not case.ledger.replaced(row, workflow.field, h.dot, size)]
    heads = standing or heads
    values = [h.value for h in heads]
    roles = case.certificate.roles
    if is_conflict(heads) and needs_review(workflow, values):
        refuse_unless(bool(workflow.resolve & roles) and any(same(write.value, v) for v in values), "review")
        return
    source = shown(FieldState(tuple(heads)), register.field(workflow.field), workflow)
    transition = find_transition(workflow, workflow.state(source), str(workflow.state(write.value)), roles)
    refuse_unless(transition is not None, "transition")
    assert transition is not None
    _check_guards(case, transition, write, (heads, source))


def _check_guards(case: Case, transition: Transition, write: Write, before: tuple[list[Head], HeadValue]) -> None:
    """Step 15, guards; *before* is what the step replaces: heads, and the value that they show."""
    heads, source = before
    refuse_unless(not empty_columns(transition, write.value), "guard")
    if "before_expiry" in transition.guards:
        effective_ms, _tick = effective_time(case.st, _floor(case), case.received)
        refuse_unless(is_before_expiry(source, effective_ms), "guard")
    if "second_signature" in transition.guards:
        refuse_unless(case.second is not None, "guard")
    if "other_person" in transition.guards:
        hidden = case.by is None and not case.whole
        refuse_unless(not _wrote_before(case, heads, case.by, hidden=hidden), "guard")
        if "second_signature" in transition.guards:
            hidden = case.second_person is None
            refuse_unless(not _wrote_before(case, heads, case.second_person, hidden=hidden), "guard")
    if PHOTO_GUARD in transition.guards:
        _check_photos(case, parse_path(write.path)[:2])


def _floor(case: Case) -> int:
    return min(case.ledger.floor(case.st.seen.size), case.received)


def _wrote_before(case: Case, heads: list[Head], person: Value, *, hidden: bool) -> bool:
    """Whether *person* made one of the steps that are replaced; *hidden*: who it is is not disclosed."""
    for head in heads:
        logged = case.ledger.logged(head.dot)
        author = logged.body.find(meta_path(head.dot, "by")) if logged is not None else None
        if author is None or hidden:
            case.declared.add("guard")
        elif author.value is None or person is None or author.value == person:
            return True  # somebody who is not named cannot be shown to be another person
    return False


def _check_photos(case: Case, record: RowKey) -> None:
    """A photo before and one after, accepted or in this changeset. Source: protocol page, section 17."""
    workflow = case.registers[record[0]].workflow
    photos = workflow.photos if workflow is not None else None
    register = photo_register(photos, case.registers) if photos is not None else None
    refuse_unless(register is not None, "guard")
    assert photos is not None and register is not None
    rows = [_photo_row(case, row, photos, register) for row in _photo_rows(case, record, register.name)]
    if missing_photos(photos, register, record[1], rows):
        hidden = any(write is None for write in case.body.writes[: case.st.pub])
        refuse_unless(not case.whole and (hidden or not is_certain(photos, register, rows)), "guard")
        case.declared.add("guard")


def _photo_rows(case: Case, record: RowKey, table: str) -> list[RowKey]:
    own = {row for row in case.rows if row[0] == table}
    return sorted(own.union(case.ledger.children(record, table)))


def _photo_row(case: Case, row: RowKey, photos: Photos, register: Register) -> dict[str, object]:
    """What a child row shows with this changeset."""
    writes = case.rows.get(row, {})
    values: dict[str, object] = {}
    for column in columns_that_count(photos, register):
        declared = register.column_field(column)
        written = writes.get(declared.name)
        heads = case.ledger.heads(row, declared.name)
        value = written[1].value if written is not None else shown(FieldState(heads), declared, None)
        values[column] = WITHHELD if isinstance(value, Hidden) else declared.columns_of(value).get(column)
    alive = writes.get(ALIVE)
    heads = case.ledger.heads(row, ALIVE)
    values[ALIVE] = alive[1].value if alive is not None else any(head.value is True for head in heads)
    return values
