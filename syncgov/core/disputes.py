"""Which changesets of a revoked device are 有争议 (disputed). A mark for people; it never changes the fold. Pure.

Source: protocol page, section 8: `revocation` of a certificate is a group of `reason` and `last_good_seq`.
"""

from collections.abc import Iterable, Mapping

from syncgov.core.commitment import Dot, Value

REVOCATION = "revocation"  # the field of the certificate


def last_good_seqs(certificates: Iterable[tuple[str, Mapping[str, Value]]]) -> dict[str, int]:
    """Return device id -> the last seq that is beyond doubt, of the devices whose revocation names one.

    Args:
        certificates: (device id, field name -> shown value) of rows of the system register `device`.
    """
    found = {}
    for dev, fields in certificates:
        revocation = fields.get(REVOCATION)
        last = revocation.get("last_good_seq") if isinstance(revocation, dict) else None
        if isinstance(last, int) and not isinstance(last, bool):
            found[dev] = last
    return found


def is_disputed(last_good: Mapping[str, int], dot: Dot) -> bool:
    """Return whether the changeset was signed after the last one of its device that is beyond doubt."""
    return dot[0] in last_good and dot[1] > last_good[dot[0]]


def disputed(last_good: Mapping[str, int], dots: Iterable[Dot]) -> list[Dot]:
    """Return those of *dots* that are disputed, in their order."""
    return [dot for dot in dots if is_disputed(last_good, dot)]
