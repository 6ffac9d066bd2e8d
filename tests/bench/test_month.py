"""A short month of a small street: the same story as the full one, and the observer would notice a loss."""

from collections.abc import Iterator

import pytest

from tests.bench.month import play, report
from tests.bench.month_checks import Result, check
from tests.bench.month_days import Month
from tests.bench.village import Handset, Signed


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Month, Result]]:
    """One month for all tests of this file."""
    month, result = play(tmp_path_factory.mktemp("month"), devices=24, households=40, days=9, seed=3)
    yield month, result
    month.close()


def test_every_change_of_a_month_has_a_fate(played: tuple[Month, Result]) -> None:
    """Nothing is lost, every replica is its filtered fold, the sums agree, and every kind of mishap has happened."""
    month, result = played
    assert result.lost == []
    assert result.different == []
    assert result.whole
    fates = {fate for _kind, fate in result.fates}
    assert {"accepted", "refused:area", "refused:fork", "refused:revoked"} <= fates
    happened = {what for what, number in month.book.counts.items() if number}
    assert {"bundles", "devices enrolled again", "devices reassigned", "devices restored from a copy"} <= happened
    assert {"devices revoked", "households moved", "syncs cut off"} <= happened
    assert result.replicas == 23
    assert result.rows > 300
    assert result.accepted > 130


def test_the_report_names_every_kind(played: tuple[Month, Result]) -> None:
    """What is printed counts the kinds, the entries and the sums."""
    text = report(*played)
    for words in ("restored file and key", "stolen", "wrong clock", "0 changesets lost", "0 differ"):
        assert words in text


def test_a_loss_would_be_noticed(played: tuple[Month, Result]) -> None:
    """A signed change that nobody has, a row that nobody wrote, an accepted change that its device does not know."""
    month, _result = played
    month.book.signed["nowhere"] = Signed("0" * 32, 1, "worker")
    worker = next(each for each in month.living("worker") if each.kind == "worker" and _has_tasks(month, each))
    with month.opened(worker) as replica:
        replica.conn.execute("DELETE FROM task WHERE id = (SELECT min(id) FROM task)")
        one = "(SELECT min(seq) FROM _sg_own WHERE verdict = 'accepted')"
        replica.conn.execute(f"UPDATE _sg_own SET verdict = NULL WHERE seq = {one}")
    result = check(month)
    assert result.lost == [("0" * 32, 1)]
    assert len(result.different) == 1
    assert result.accepted == result.own + result.stopped + 1
    assert not result.whole


def _has_tasks(month: Month, handset: Handset) -> bool:
    with month.opened(handset) as replica:
        return replica.conn.execute("SELECT count(*) FROM task").fetchone()[0] > 0
