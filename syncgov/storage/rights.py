"""What this device would be refused for anyway, said before it signs. The verdict stays the centre's.

Source: protocol page, section 11, steps 11, 12 and 14.
"""

from collections.abc import Collection, Sequence

from syncgov.core.merge import workflow_of
from syncgov.core.register_model import Register
from syncgov.errors import InputError, NotAllowedError
from syncgov.storage.capture import FieldWrite
from syncgov.storage.replica import Replica
from syncgov.storage.state import RowKey, load_row
from syncgov.storage.wording import role_words


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
        require_area(replica, area)


def require_area(replica: Replica, area: object) -> None:
    """Return if an area code lies in this device's areas.

    Raises:
        NotAllowedError: it does not.
    """
    prefixes = replica.certificate().shown("areas", None)
    mine = [str(prefix) for prefix in prefixes] if isinstance(prefixes, list) else []
    if not isinstance(area, str) or not area.startswith(tuple(mine)):
        raise NotAllowedError(
            f"{area} 不在本终端的负责区域（{'、'.join(mine)}）内",
            f"{area} lies outside this device's areas ({', '.join(mine)})",
        )


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
