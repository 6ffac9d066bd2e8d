"""A hybrid logical clock that trusts nobody's wall clock for long. Source: protocol page, sections 4 and 6."""

from dataclasses import dataclass

from syncgov.core.statement import MAX_TICK


@dataclass(frozen=True, slots=True)
class Stamp:
    """(ms UTC, counter), ordered."""

    at: int
    tick: int


def next_stamp(wall_ms: int, absorbed: Stamp) -> Stamp:
    """Return the stamp of a write made at *wall_ms* by a device that has absorbed *absorbed*.

    Only effective times are ever absorbed, and those lie within the centre's receipt times, so a device whose clock
    is years ahead does not drag others along.
    """
    if wall_ms > absorbed.at:
        return Stamp(wall_ms, 0)
    if absorbed.tick < MAX_TICK:
        return Stamp(absorbed.at, absorbed.tick + 1)
    return Stamp(absorbed.at + 1, 0)
