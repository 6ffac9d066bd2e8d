"""Keys of persons: what a row of the system register `staff_key` says, and when a second signature counts. Pure.

Source: protocol page, sections 4, 8 and 11.
"""

from collections.abc import Mapping

from syncgov.core.canonical import unb64u
from syncgov.core.keys import device_id
from syncgov.core.trust_view import StaffKey
from syncgov.errors import FormatError

STAFF_KEYS = "staff_key"  # the system register
# what was signed before the person or the key went out of use, and is on its way, still counts for the grace days
GRACEFUL = frozenset({"replaced", "left"})


def staff_key_from(
    key_id: str, fields: Mapping[str, object] | None, since: int, *, disclosed: bool = True
) -> StaffKey | None:
    """Return the key that a row says; None if the row is gone, damaged, or of another key than its id.

    Args:
        fields: field name -> shown value. since: `received` of the leaf that says so, ms UTC.
        disclosed: whether private fields are known.
    """
    if fields is None:
        return None
    public, start, end = fields.get("public_key"), fields.get("valid_from"), fields.get("valid_to")
    if not (isinstance(public, str) and isinstance(start, int) and isinstance(end, int)):
        return None
    try:
        key = unb64u(public, 32)
    except FormatError:
        return None
    if device_id(key) != key_id:
        return None
    person, ended = fields.get("person"), fields.get("ended")
    owner = (person if isinstance(person, str) else "") if disclosed else None
    return StaffKey(key_id, key, start, end, owner, ended if isinstance(ended, str) else "", since)


def is_in_force(key: StaffKey, earlier: StaffKey | None, received: int, grace_ms: int) -> bool:
    """Return whether a signature by *key* counts in a changeset that arrives at *received*.

    Args:
        key: as the leaves below the changeset say. earlier: as those below its `seen` say.
        grace_ms: how long work counts that was signed before a key was replaced or its owner left.
    """
    if not key.valid_from <= received <= key.valid_to:
        return False
    if not key.ended:
        return True
    signed_before = earlier is not None and not earlier.ended
    return key.ended in GRACEFUL and signed_before and received - key.since <= grace_ms
