"""Who may write: roles, persons, second signatures. Pure. Source: protocol page, section 11, step 11."""

from syncgov.core.commitment import Value, Write
from syncgov.core.merge import workflow_of
from syncgov.core.staff_keys import is_in_force
from syncgov.core.trust_case import Case, grace_ms, refuse_unless, replaced_heads


def check_roles(case: Case) -> None:
    """Step 11."""
    roles = case.certificate.roles
    for row, writes in case.rows.items():
        register = case.registers[row[0]]
        others = [name for name in writes if not name.startswith("_")]
        for name in others:
            declared = register.field(name)
            refuse_unless(not register.system or case.is_registrar, "role")
            # who may move a workflow is said by its transitions
            refuse_unless(workflow_of(register, name) is not None or bool(declared.write & roles), "role")
            refuse_unless(register.may_read(roles, declared.klass), "role")
        alive = writes.get("_alive")
        if alive is not None and (alive[1].value is False or (not others and case.whole) or _is_back(case, alive[1])):
            refuse_unless(bool(register.write & roles), "role")
            refuse_unless(not register.system or case.is_registrar, "role")
    _check_staff(case)
    _check_second(case)


def _is_back(case: Case, alive: Write) -> bool:
    """Whether a deleted row is made to live again."""
    heads = replaced_heads(case, alive)
    return bool(heads) and alive.value is True and not any(h.value is True for h in heads or [])


def _check_staff(case: Case) -> None:
    staff = case.certificate.staff
    if staff is None or (case.by is None and not case.whole):
        case.declared.add("person")
    else:
        refuse_unless(_may_use(case, case.by), "person")


def _may_use(case: Case, person: Value) -> bool:
    """Whether somebody may use the device now, or might when this was signed, for the grace days after the change."""
    certificate, earlier = case.certificate, case.earlier
    if not certificate.staff or person in certificate.staff:
        return True
    if earlier is None or earlier.staff is None or earlier.staff == certificate.staff:
        return False
    on_its_way = case.received - certificate.since <= grace_ms(case)
    return on_its_way and (not earlier.staff or person in earlier.staff)


def _check_second(case: Case) -> None:
    """Step 11, second signature: of a key in force, whose owner may use the device and is not who wrote."""
    if case.second is None:
        return
    key = case.ledger.staff_key(case.second, case.index)
    earlier = case.ledger.staff_key(case.second, case.st.seen.size)
    refuse_unless(key is not None and is_in_force(key, earlier, case.received, grace_ms(case)), "second")
    assert key is not None
    if key.person is None:
        case.declared.add("second")
        return
    # somebody who is not named cannot be shown to be another person
    refuse_unless(key.person != "" and case.by is not None and key.person != case.by, "second")
    refuse_unless(_may_use(case, key.person), "second")
    case.second_person = key.person
