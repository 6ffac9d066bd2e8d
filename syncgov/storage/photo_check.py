"""A step that needs photos before and after is not signed without them. The verdict stays the centre's.

Source: protocol page, section 17.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from syncgov.core.merge import workflow_of
from syncgov.core.photo_guard import ALIVE, columns_that_count, missing_photos, photo_register
from syncgov.core.register_model import Register
from syncgov.core.workflow import PHOTO_GUARD, Photos, Workflow, find_transition
from syncgov.errors import InputError
from syncgov.storage.capture import RowChange
from syncgov.storage.connection import quote
from syncgov.storage.replica_tables import ReplicaTables
from syncgov.storage.schema import from_sql, key_column
from syncgov.storage.state import RowKey, StoredRow
from syncgov.storage.wording import column_words


def require_photos(tables: ReplicaTables, roles: frozenset[str], change: RowChange, stored: StoredRow) -> None:
    """Return unless *change* makes a step that needs photos which this device does not hold.

    Rows that are not signed yet count: they go into the same changeset. A device that may not read the attachments
    leaves the question to the centre.

    Raises:
        InputError: names the missing photos and how to add them.
    """
    register = tables.registers[change.row[0]]
    workflow = register.workflow
    if workflow is None or workflow.field not in change.fields or not _is_guarded(register, roles, change, stored):
        return
    missing = photos_wanted(tables, register, change.row[1])
    if missing:
        raise _missing(tables, register, change.row, missing)


def photos_wanted(
    tables: ReplicaTables, register: Register, key: str, written: Iterable[Mapping[str, object]] = ()
) -> tuple[str, ...]:
    """Return the phases of which this device holds no photo that counts for a record, as far as it may look.

    Args:
        written: rows that a changeset brought itself, whether the tables show them or not.
    """
    photos = register.workflow.photos if register.workflow is not None else None
    child = photo_register(photos, tables.registers) if photos is not None else None
    if photos is None or child is None or not _is_readable(tables, photos, child):
        return ()
    return missing_photos(photos, child, key, [*written, *_rows(tables, child, (register.name, key))])


def photo_words(tables: ReplicaTables, register: Register, missing: Sequence[str]) -> tuple[str, str]:
    """Return phases of photos in words."""
    assert register.workflow is not None and register.workflow.photos is not None
    child = tables.registers[register.workflow.photos.register]
    assert child.attachment is not None
    (column,) = (each for each in child.columns if each.name == child.attachment.phase)
    return "、".join(f"{column_words(column, code)}照片" for code in missing), ", ".join(missing)


def _is_guarded(register: Register, roles: frozenset[str], change: RowChange, stored: StoredRow) -> bool:
    workflow = register.workflow
    assert workflow is not None
    source = _state(workflow, register, stored) if stored.alive else None
    target = workflow.state(change.fields[workflow.field])
    step = find_transition(workflow, source, str(target), roles)
    return step is not None and PHOTO_GUARD in step.guards


def _state(workflow: Workflow, register: Register, stored: StoredRow) -> str | None:
    assert workflow_of(register, workflow.field) is workflow
    return workflow.state(stored.local(workflow.field, register))


def _is_readable(tables: ReplicaTables, photos: Photos, child: Register) -> bool:
    here = {column.name for column in tables.columns.get(child.name, ())}
    return set(columns_that_count(photos, child)) <= here


def _rows(tables: ReplicaTables, child: Register, record: RowKey) -> Iterator[Mapping[str, object]]:
    columns = tables.columns[child.name]
    names = ", ".join(quote(column.name) for column in columns)
    sql = f"SELECT {names} FROM {quote(child.name)} WHERE {quote(str(child.parent))} = ? ORDER BY {key_column(child)}"
    for values in tables.conn.execute(sql, (record[1],)):
        row = {column.name: from_sql(column, value) for column, value in zip(columns, values, strict=True)}
        yield {ALIVE: True, **row}


def _missing(tables: ReplicaTables, register: Register, row: RowKey, missing: Sequence[str]) -> InputError:
    names, phases = photo_words(tables, register, missing)
    options = " ".join(f"--phase {code}" for code in missing)
    return InputError(
        f"{register.label} {row[1]}：缺少{names}；请先运行 syncgov attach 副本 {register.name} {row[1]} 照片文件 "
        f"{options}，再运行 commit",
        f"{register.name} {row[1]}: photos are missing: {phases}; add them with "
        f"`syncgov attach REPLICA {register.name} {row[1]} FILE {options}`, then commit",
    )
