"""Rows, numbers, conflicts, withheld values and figures of public.db."""

from tests.helpers import EAST, update
from tests.publish.place import CANARIES, Place
from tests.publish.reading import cells, row


def test_a_row_shows_its_public_columns_and_only_those(place: Place) -> None:
    """Values, skeleton, number, times, evidence; no internal column."""
    found = row(place.out, "lamp", place.keys[0])
    assert found == {
        "key": place.keys[0],
        "_no": f"{EAST}20261118001",
        "kind": "bulb",
        "words": "东门光伏组件路灯不亮，已换灯泡",
        "parts": '["灯泡","=2+2"]',
        "cost": 12345,
        "state": "done",
        "crew": "1",
        "_community": EAST,
        "_month": "2026-11",
        "_created": found["_created"],
        "_updated": found["_updated"],
        "_withheld": "",
        "_erased": "",
        "_conflict": 0,
        "_disputed": 0,
        "_evidence": f"log/proofs/lamp/{place.keys[0]}.json",
    }
    assert found["_created"][:10] == "2026-11-18"
    assert found["_updated"][:10] == "2026-11-19"
    assert found["_created"].endswith("+08:00")


def test_numbers_count_within_community_and_day(place: Place) -> None:
    """Ordinals by log index; a dead row's number is not given again."""
    assert sorted(n for (n,) in cells(place.out, "SELECT _no FROM lamp")) == [
        f"{EAST}20261118{ordinal:03d}" for ordinal in (1, 2, 3)
    ]


def test_a_dead_row_is_gone_and_keeps_its_number(own_place: Place) -> None:
    """Its history stays, its table row goes, and the next row gets the next number."""
    east, keys = own_place.world.replicas["east"], own_place.keys
    before = row(own_place.out, "lamp", keys[2])["_no"]
    east.conn.execute("DELETE FROM lamp WHERE id = ?", (keys[0],))
    own_place.world.sync(east, CANARIES["person"])
    own_place.publish()
    assert row(own_place.out, "lamp", keys[0]) == {}
    assert row(own_place.out, "lamp", keys[2])["_no"] == before
    assert cells(own_place.out, "SELECT count(*) FROM history WHERE key = ?", keys[0])[0][0] > 5
    assert not (own_place.out / "log" / "proofs" / "lamp" / f"{keys[0]}.json").exists()


def test_both_values_of_a_conflict_are_listed(place: Place) -> None:
    """One of them is marked as shown, and the row says how many fields clash."""
    heads = cells(place.out, "SELECT value, shown FROM conflict WHERE key = ? AND field = 'words'", place.keys[1])
    assert sorted(value for value, _shown in heads) == ['"南门灯杆已扶正"', '"南门灯杆待修"']
    found = row(place.out, "lamp", place.keys[1])
    assert [value.strip('"') for value, shown in heads if shown] == [found["words"]]
    assert found["_conflict"] == 1


def test_a_withheld_text_is_named_and_not_shown(place: Place) -> None:
    """The row says which field, the list says why, the history has the write without its value."""
    found = row(place.out, "lamp", place.keys[2])
    assert (found["words"], found["_withheld"]) == (None, "words")
    listed = cells(place.out, "SELECT register, key, field, reason FROM withheld")
    assert listed == [("lamp", place.keys[2], "words", "review")]
    sql = "SELECT value, withheld, shown FROM history WHERE key = ? AND field = 'words'"
    assert cells(place.out, sql, place.keys[2]) == [(None, 1, 1)]
    assert (place.published.withheld, place.published.newly_withheld) == (1, 1)


def test_a_withheld_value_never_shows_as_an_older_one(own_place: Place) -> None:
    """Good text, then a text with a telephone: nothing shows until it is approved, and approval lasts."""
    desk, key = own_place.world.replicas["desk"], own_place.keys[0]
    sync = own_place.world.sync
    sync(desk, CANARIES["by2"])
    update(desk, "lamp", key, words="电话 0938-8211111 联系")
    sync(desk, CANARIES["by2"])
    assert own_place.publish().newly_withheld == 1
    found = row(own_place.out, "lamp", key)
    assert (found["words"], found["_withheld"]) == (None, "words")
    # again: the log does not grow another withholding
    assert own_place.publish().newly_withheld == 0
    ((dot,),) = cells(own_place.out, "SELECT dot FROM withheld WHERE key = ?", key)
    own_place.world.centre.write("withholding", [(dot, None)])
    assert own_place.publish().newly_withheld == 0
    found = row(own_place.out, "lamp", key)
    assert (found["words"], found["_withheld"]) == ("电话 0938-8211111 联系", "")


def test_a_later_text_replaces_a_withheld_one(own_place: Place) -> None:
    """What was withheld stays withheld in the history; the row shows what was written since."""
    desk, key = own_place.world.replicas["desk"], own_place.keys[2]
    own_place.world.sync(desk, CANARIES["by2"])
    update(desk, "lamp", key, words="已通知来电人")
    own_place.world.sync(desk, CANARIES["by2"])
    own_place.publish()
    found = row(own_place.out, "lamp", key)
    assert (found["words"], found["_withheld"]) == ("已通知来电人", "")
    assert own_place.published.withheld == 1


def test_a_name_from_the_contact_block_is_withheld(own_place: Place) -> None:
    """A private string of the same record, copied into a public text, is caught though no pattern knows it."""
    desk, key = own_place.world.replicas["desk"], own_place.keys[0]
    own_place.world.sync(desk, CANARIES["by2"])
    update(desk, "lamp", key, words=f"已答复{CANARIES['name']}")
    own_place.world.sync(desk, CANARIES["by2"])
    assert own_place.publish().newly_withheld == 1


def test_figures_are_computed_over_what_is_published(place: Place) -> None:
    """Numerator, denominator, text and SQL stand beside each other."""
    sql = "SELECT id, n, d, text, sql_d FROM figure ORDER BY position"
    assert cells(place.out, sql) == [
        ("lamps", 3, None, "3", None),
        ("lamps_done", 1, 3, "33.3% (1/3)", "SELECT count(*) FROM lamp"),
    ]
    assert place.published.figures == {"lamps": "3", "lamps_done": "33.3% (1/3)"}


def test_the_log_is_counted_completely(place: Place) -> None:
    """Accepted and refused add up to the size; meta says what the checkpoint says."""
    counted = dict(cells(place.out, "SELECT verdict, count(*) FROM leaf GROUP BY 1"))
    assert counted == {"accepted": place.published.checkpoint.size - 1, "refused:area": 1}
    meta = dict(cells(place.out, "SELECT key, value FROM meta"))
    assert (meta["size"], meta["simulated"]) == (str(place.published.checkpoint.size), "1")
    assert meta["as_of"] == "2026-11-19T19:06:40+08:00"


def test_what_only_the_centre_knows_is_declared(place: Place) -> None:
    """Rows of registers without skeleton are a number, not a table."""
    declared = dict(cells(place.out, "SELECT name, value FROM declared"))
    assert declared == {"waiting": 0, "hidden_conflicts": 0, "rows_caller": 1}
    assert cells(place.out, "SELECT count(*) FROM sqlite_master WHERE name = 'caller'") == [(0,)]
