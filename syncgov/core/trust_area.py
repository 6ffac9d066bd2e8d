"""Where a device may write: areas, old and new, and what its units own. Pure. Protocol page, section 11, step 12."""

from collections.abc import Iterable

from syncgov.core.merge import WITHHELD, HeadValue
from syncgov.core.register_model import Register
from syncgov.core.trust_case import Case, grace_ms, refuse_unless
from syncgov.core.trust_view import Area, Certificate


def check_area(case: Case) -> None:
    """Step 12: the old area and the new one lie in the device's areas; a unit's own record may lie anywhere."""
    if case.record is None:
        case.declared.add("area")
        return
    register = case.registers[case.record[0]]
    if register.area is None or case.is_registrar:
        return
    # a record that the device itself made after `seen` has an area only now
    old = case.ledger.area(case.record, case.st.seen.size) or case.ledger.area(case.record, case.index)
    new = _new_area(case, register)
    if old is None and new is None and case.whole:
        # a child of a record that this log position does not know
        refuse_unless(False, "area")
    # as at `seen`: what was taken from the unit meanwhile was its own when the device wrote
    unit = case.ledger.owner(case.record, case.st.seen.size) if register.owner is not None else None
    if old is not None:
        _require_cover(case, old, unit)
    if new is not None and new != old:
        _require_cover(case, new, None)  # whoever handles a record does not move it elsewhere
    elif new is not None and not new.exact and _covers(case.certificate.areas, new) is not True:
        case.declared.add("area")  # two places of one community: what is disclosed does not tell them apart
    if old is None and new is None and not _is_of(unit, case.certificate):
        case.declared.add("area")


def _new_area(case: Case, register: Register) -> Area | None:
    assert case.record is not None and register.area is not None
    writes = case.rows.get(case.record, {})
    written = writes.get(register.column_field(register.area).name)
    if written is not None:
        value = register.column_field(register.area).columns_of(written[1].value).get(register.area)
        refuse_unless(isinstance(value, str) and value != "", "value")
        return Area(str(value), True)
    community = writes.get("_community")
    if community is not None and isinstance(community[1].value, str):
        return Area(community[1].value, False)
    return None


def _require_cover(case: Case, area: Area, unit: HeadValue) -> None:
    covers = _reaches(case.certificate, area, unit)
    before, within_grace = case.earlier, case.received - case.certificate.since <= grace_ms(case)
    if covers is not True and before is not None and within_grace and _is_reassigned(before, case.certificate):
        earlier = _reaches(before, area, unit)
        covers = True if earlier is True else None if covers is None or earlier is None else False
    refuse_unless(covers is not False, "area")
    if covers is None:
        case.declared.add("area")


def _is_reassigned(earlier: Certificate, now: Certificate) -> bool:
    return (earlier.areas, earlier.units) != (now.areas, now.units)


def _reaches(certificate: Certificate, area: Area, unit: HeadValue) -> bool | None:
    """Whether a record in *area*, handled by *unit*, is the device's to write; None: that is not disclosed."""
    covers = _covers(certificate.areas, area)
    if covers is True or _is_of(unit, certificate):
        return True
    return None if unit is WITHHELD and certificate.units else covers


def _is_of(unit: HeadValue, certificate: Certificate) -> bool:
    return isinstance(unit, str) and unit in certificate.units


def _covers(prefixes: Iterable[str], area: Area) -> bool | None:
    """True: certainly inside; False: certainly outside; None: it depends on the undisclosed part."""
    prefixes = list(prefixes)
    if any(area.code.startswith(prefix) for prefix in prefixes):
        return True
    if not area.exact and any(prefix.startswith(area.code) for prefix in prefixes):
        return None
    return False
