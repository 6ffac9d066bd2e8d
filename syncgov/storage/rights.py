"""What this device would be refused for anyway, said before it signs. The verdict stays the centre's.

Source: protocol page, section 11, steps 11, 12 and 14.
"""

from collections.abc import Collection, Sequence

from syncgov.core.commitment import Value
from syncgov.core.merge import workflow_of
from syncgov.core.register_model import Register
from syncgov.errors import InputError, NotAllowedError
from syncgov.storage.capture import FieldWrite
from syncgov.storage.replica import Replica
from syncgov.storage.state import RowKey, load_row
from syncgov.storage.wording import reach_words, role_words


def require_signed(replica: Replica) -> None:
    """Return if nothing is unsigned: what is written now must not mix with what somebody else wrote before.

    Raises:
        NotAllowedError: unsigned writes wait.
    """
    replica.refresh()
    if replica.has_unsigned():
        raise NotAllowedError(
            "有尚未签名的修改，请先运行 syncgov commit",
            "unsigned changes are waiting; run `syncgov commit` first",
        )


def require_role(replica: Replica, allowed: Collection[str], what: tuple[str, str]) -> None:
    """Return if this device has one of the roles *allowed*; *what* they may do, in Chinese and English.

    Raises:
        NotAllowedError: it has none of them; names them.
    """
    if replica.roles.isdisjoint(allowed):
        zh = "、".join(role_words(role) for role in sorted(allowed))
        mine = "、".join(role_words(role) for role in sorted(replica.roles))
        en = ", ".join(role_words(role, "en") for role in sorted(allowed))
        own = ", ".join(role_words(role, "en") for role in sorted(replica.roles))
        raise NotAllowedError(
            f"{what[0]}只能由{zh}办理，本终端的岗位是{mine}；请联系有权的人员",
            f"only {en} may {what[1]}; this device is {own}. Ask whoever may",
        )


def require_writable(replica: Replica, writes: Sequence[FieldWrite]) -> None:
    """Return if this device's roles and areas allow *writes*, all of one record.

    Raises:
        NotAllowedError: names the field and who may, or the area.
    """
    for write in writes:
        register = replica.registers[write.row[0]]
        if write.name == "_alive" and write.value is False:
            require_role(replica, register.write, (f"删除{register.label}", f"delete a row of {register.name}"))
        if not write.name.startswith("_"):
            _require_field(replica, register, write)


def _require_field(replica: Replica, register: Register, write: FieldWrite) -> None:
    declared = register.field(write.name)
    what = (f"{register.label}的“{declared.label}”", f"write {register.name}.{declared.name}")
    if workflow_of(register, declared.name) is None:
        require_role(replica, declared.write, what)
    if not register.may_read(replica.roles, declared.klass):
        require_role(replica, register.read.get(declared.klass, frozenset()), what)
    if register.area in {column.name for column in declared.columns}:
        area = declared.columns_of(write.value).get(str(register.area))
        if area != _column(replica, write.row, register.area) or not owns(replica, write.row):
            require_area(replica, area)


def require_area(replica: Replica, area: object) -> None:
    """Return if an area code lies in this device's areas. That its unit owns a record lets nobody move it elsewhere.

    Raises:
        NotAllowedError: it does not.
    """
    areas, units = reach(replica)
    if not isinstance(area, str) or not area.startswith(areas):
        mine = reach_words(areas, units)
        also = "；由本单位负责的记录可以填写，不能改到区域之外" if units else ""
        more = "; a record of your unit can be written, not moved outside your areas" if units else ""
        raise NotAllowedError(
            f"{area} 不在本终端的负责区域内（{mine}）{also}",
            f"{area} lies outside this device's areas ({reach_words(areas, units, 'en')}){more}",
        )


def reach(replica: Replica) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the area prefixes and the units that this device is certified for."""
    certificate = replica.certificate()
    found = (certificate.shown("areas", None), certificate.shown("units", None))
    areas, units = (tuple(map(str, each)) if isinstance(each, list) else () for each in found)
    return areas, units


def owns(replica: Replica, record: RowKey) -> bool:
    """Return whether one of this device's units is responsible for the record, as it shows here."""
    return _column(replica, record, replica.registers[record[0]].owner) in reach(replica)[1]


def _column(replica: Replica, row: RowKey, column: str | None) -> Value:
    if column is None:
        return None
    register = replica.registers[row[0]]
    declared = register.column_field(column)
    shown = load_row(replica.conn, row).shown(declared.name, register)
    return declared.columns_of(shown)[column]


def record_of_row(replica: Replica, row: RowKey, writes: Sequence[FieldWrite] = ()) -> RowKey:
    """Return the record that *row* belongs to: itself, or its parent's row, as *writes* or this device say.

    Raises:
        InputError: a child row whose parent is not known.
    """
    register = replica.registers[row[0]]
    if register.parent is None or register.parent_register is None:
        return row
    values = [write.value for write in writes if write.row == row and write.name == register.parent]
    parent = values[0] if values else load_row(replica.conn, row).local(register.parent, register)
    if not isinstance(parent, str):
        raise InputError(f"{register.label} {row[1]}：缺少上级记录", f"{register.name} {row[1]}: no parent record")
    return (register.parent_register, parent)
