"""The review desk: what waits, what an approval and a new text do to the published folder."""

import pytest

from syncgov.audit.audit import audit
from syncgov.centre.desk import KEY_FILE, RENEW_DAYS, Desk
from syncgov.centre.enrolment import CERTIFICATE_DAYS
from syncgov.core.commitment import meta_path
from syncgov.core.trust_view import Certificate
from syncgov.errors import InputError, NotAllowedError
from syncgov.publish.desk import Item, approve, marked, replace, replace_all, waiting
from syncgov.publish.detectors import find_matches
from tests.helpers import DAY_MS, update
from tests.leaks import holders
from tests.publish.place import CANARIES, Place, add
from tests.publish.reading import cells, row
from tests.publish.test_leaks import files

WITHHELD_TEXT = f"请联系 13912345678 {CANARIES['withheld']}"


def desk_of(place: Place) -> Desk:
    """Return the desk of the place, with a person at it."""
    return Desk(place.world.centre, "P001")


def certificate(place: Place, device: str) -> Certificate:
    """Return a device's certificate as it is now."""
    found = place.world.centre.ledger.certificate(device, place.world.centre.ledger.size)
    assert found is not None
    return found


def items(place: Place) -> dict[str, Item]:
    """Return what waits, by text."""
    return {item.text: item for item in waiting(place.world.centre.reader())}


def body_of(place: Place, index: int):
    """Return statement and body of a leaf."""
    logged = place.world.centre.ledger.logged(place.world.leaf(index).changeset.statement.dot)
    assert logged is not None
    return logged.statement, logged.body


def sound(place: Place) -> None:
    """Publish, and check everything but the portal from the folder alone."""
    place.publish()
    report = audit(place.out, place.world.folder / "centre" / "charter.json")
    assert not [finding for finding in report.findings if finding.code != "portal"]
    assert report.counts


def test_hits_and_unread_texts_wait_in_the_order_of_the_log(place: Place) -> None:
    """The hit with what was found; what a worker wrote and nobody approved; nothing that was replaced."""
    found = waiting(place.world.centre.reader())
    by_text = {item.text: item for item in found}
    hit = by_text[WITHHELD_TEXT]
    assert (hit.state, [m.detector for m in hit.matches], hit.roles) == ("withheld", ["mobile"], ("worker",))
    assert (hit.by, hit.table, hit.key, hit.field_label) == (CANARIES["person"], "lamp", place.keys[2], "公开说明")
    assert by_text["东门光伏组件路灯不亮，已换灯泡"].state == "unread"
    assert "南门灯杆倾斜" not in by_text
    assert [item.order for item in found] == sorted(item.order for item in found)
    assert len({item.id for item in found}) == len(found)


def test_the_list_can_be_narrowed(place: Place) -> None:
    """By community and register; a register that has no texts is named as wrong."""
    ledger = place.world.centre.reader()
    everything = waiting(ledger)
    assert waiting(ledger, "101001") == waiting(ledger, "", "路灯") == waiting(ledger, "", "lamp") == everything != []
    assert waiting(ledger, "101002") == []
    with pytest.raises(InputError, match="lamp"):
        waiting(ledger, "", "crew")


def test_an_approved_text_is_published(own_place: Place) -> None:
    """It was withheld; a person, who is named, let it pass; it does not wait again, and the audit holds."""
    item = items(own_place)[WITHHELD_TEXT]
    approve(desk_of(own_place), [item.id])
    st, body = body_of(own_place, -1)
    assert (st.dev, body.find(meta_path(st.dot, "by")).value) == (own_place.world.centre.registrar.id, "P001")
    sound(own_place)
    assert row(own_place.out, "lamp", own_place.keys[2])["words"] == WITHHELD_TEXT
    assert own_place.published.newly_withheld == 0
    assert WITHHELD_TEXT not in items(own_place)
    with pytest.raises(InputError, match=item.id):
        approve(desk_of(own_place), [item.id])


def test_unread_and_new_hits_are_approved_too(own_place: Place) -> None:
    """Before any publication withheld them: both states end, and stay ended."""
    east = own_place.world.replicas["east"]
    update(east, "lamp", own_place.keys[0], words="灯杆旁电话0938-0000001")
    own_place.world.sync(east, CANARIES["person"])
    found = items(own_place)
    states = {item.id: item.state for item in found.values() if item.state != "withheld"}
    assert sorted(set(states.values())) == ["hit", "unread"]
    approve(desk_of(own_place), list(states))
    sound(own_place)
    assert own_place.published.newly_withheld == 0
    assert row(own_place.out, "lamp", own_place.keys[0])["words"] == "灯杆旁电话0938-0000001"
    assert list(items(own_place)) == [WITHHELD_TEXT]


def test_approvals_are_all_or_none(own_place: Place) -> None:
    """A wrong id beside a right one: nothing is written."""
    size = own_place.world.centre.ledger.size
    with pytest.raises(InputError, match=r"9999\.0"):
        approve(desk_of(own_place), [items(own_place)[WITHHELD_TEXT].id, "9999.0"])
    with pytest.raises(InputError, match=r"9999\.0"):
        replace_all(desk_of(own_place), [(items(own_place)[WITHHELD_TEXT].id, "好"), ("9999.0", "好")])
    assert own_place.world.centre.ledger.size == size


def test_a_new_text_shows_and_the_old_one_never(own_place: Place) -> None:
    """Signed by the desk's own device, as a publisher, in a person's name; the devices get it; the audit holds."""
    item = items(own_place)[WITHHELD_TEXT]
    done = replace(desk_of(own_place), item.id, "南门第三盏灯已换")
    index = int(done.new.partition(".")[0])
    st, body = body_of(own_place, index)
    assert certificate(own_place, st.dev).roles == {"publisher"}
    assert body.find(meta_path(st.dot, "by")).value == "P001"
    sound(own_place)
    shown = row(own_place.out, "lamp", own_place.keys[2])
    assert (shown["words"], shown["_withheld"]) == ("南门第三盏灯已换", "")
    assert cells(own_place.out, "SELECT reason FROM withheld") == [("privacy",)]
    assert holders([CANARIES["withheld"], "13912345678"], files(own_place.out)) == {
        CANARIES["withheld"]: set(),
        "13912345678": set(),
    }
    assert not {WITHHELD_TEXT, "南门第三盏灯已换"} & set(items(own_place))
    east = own_place.world.replicas["east"]
    own_place.world.sync(east, CANARIES["person"])
    sql = "SELECT words FROM lamp WHERE id = ?"
    assert east.conn.execute(sql, (own_place.keys[2],)).fetchone() == ("南门第三盏灯已换",)


def test_an_unread_text_that_is_replaced_leaves_the_history(own_place: Place) -> None:
    """It had been published; what a person took back is not shown again, not even as an older value."""
    text = "东门光伏组件路灯不亮，已换灯泡"
    assert cells(own_place.out, "SELECT 1 FROM history WHERE value LIKE ?", f"%{text}%")
    replace(desk_of(own_place), items(own_place)[text].id, "东门路灯已修")
    sound(own_place)
    assert not cells(own_place.out, "SELECT 1 FROM history WHERE value LIKE ?", f"%{text}%")
    assert row(own_place.out, "lamp", own_place.keys[0])["words"] == "东门路灯已修"


def test_a_new_text_with_a_hit_needs_a_sure_person(own_place: Place) -> None:
    """It is named and refused, and nothing changes; with `sure` it is published at once."""
    item = items(own_place)[WITHHELD_TEXT]
    size = own_place.world.centre.ledger.size
    for text in ("请打0938-0000009", "", "  "):
        with pytest.raises(InputError):
            replace(desk_of(own_place), item.id, text)
    assert own_place.world.centre.ledger.size == size
    replace(desk_of(own_place), item.id, "请打0938-0000009", sure=True)
    sound(own_place)
    assert own_place.published.newly_withheld == 0
    assert row(own_place.out, "lamp", own_place.keys[2])["words"] == "请打0938-0000009"


def test_a_copied_contact_is_a_hit_in_the_new_text_too(own_place: Place) -> None:
    """The name of the record's own caller, which no pattern knows."""
    item = items(own_place)["东门光伏组件路灯不亮，已换灯泡"]
    with pytest.raises(InputError, match="contact"):
        replace(desk_of(own_place), item.id, f"已答复{CANARIES['name']}")


def test_the_desk_enrols_once_and_renews_in_time(own_place: Place) -> None:
    """One device for all its texts; before its certificate ends it gets a longer one; revoked it stops."""
    centre, clock = own_place.world.centre, own_place.clock
    key = own_place.world.folder / "centre" / "keys" / KEY_FILE
    assert not key.exists()
    first = replace(desk_of(own_place), items(own_place)[WITHHELD_TEXT].id, "第一次")
    device = body_of(own_place, int(first.new.partition(".")[0]))[0].dev
    end = certificate(own_place, device).valid_to
    clock.forward((CERTIFICATE_DAYS - RENEW_DAYS + 1) * DAY_MS)
    second = replace(desk_of(own_place), items(own_place)["东门光伏组件路灯不亮，已换灯泡"].id, "第二次")
    assert body_of(own_place, int(second.new.partition(".")[0]))[0].dev == device
    assert certificate(own_place, device).valid_to > end
    centre.write("device", [(device, {"reason": "lost"})])
    waits = next(iter(items(own_place).values()))
    with pytest.raises(NotAllowedError, match=KEY_FILE):
        replace(desk_of(own_place), waits.id, "第三次")
    assert items(own_place)[waits.text].state == "withheld"  # taken back from the public first, still waiting


def test_a_field_that_no_publisher_writes_is_not_written(own_place: Place) -> None:
    """The register says who words it; the desk says so and what helps."""
    centre = own_place.world.centre
    text = centre.ledger.registers(centre.ledger.size)["lamp"].text
    centre.write(
        "register", [("lamp", {"text": text.replace(", publisher]}", "]}").replace("version: 1", "version: 2")})]
    )
    with pytest.raises(NotAllowedError, match="write"):
        replace(desk_of(own_place), items(own_place)[WITHHELD_TEXT].id, "新的")


def test_both_sides_of_a_conflict_wait_and_one_text_ends_it(own_place: Place) -> None:
    """Two people worded it at once; the new text is written over both."""
    mine = {item.text: item for item in items(own_place).values() if item.key == own_place.keys[1]}
    assert set(mine) == {"南门灯杆已扶正", "南门灯杆待修"}
    replace(desk_of(own_place), mine["南门灯杆待修"].id, "南门灯杆处理中")
    assert not [item for item in items(own_place).values() if item.key == own_place.keys[1]]
    sound(own_place)
    assert row(own_place.out, "lamp", own_place.keys[1])["_conflict"] == 0


def test_a_declared_number_is_no_hit_at_the_desk_or_in_publication(own_place: Place) -> None:
    """What the registrar typed into a public column may be repeated in texts."""
    own_place.world.centre.write("crew", [("2", {"name": "值班电话0938-0000021"})])
    east = own_place.world.replicas["east"]
    key = add(east, 50, words="请打值班电话（0938）0000021")
    other = add(east, 51, words="请打他家电话（0938）0000022")
    own_place.world.sync(east, CANARIES["person"])
    own_place.publish()
    assert row(own_place.out, "lamp", key)["words"] == "请打值班电话（0938）0000021"
    assert row(own_place.out, "lamp", other)["_withheld"] == "words"
    assert items(own_place)["请打值班电话（0938）0000021"].state == "unread"


def test_a_deleted_record_does_not_wait(own_place: Place) -> None:
    """Nobody reads it any more."""
    east = own_place.world.replicas["east"]
    east.conn.execute("DELETE FROM lamp WHERE id = ?", (own_place.keys[2],))
    own_place.world.sync(east, CANARIES["person"])
    assert WITHHELD_TEXT not in items(own_place)


def test_marks_stand_around_what_was_found() -> None:
    """Overlapping finds share their marks."""
    text = "联系16400000001或甘ZA0001。"
    assert marked(text, find_matches(text)) == "联系【16400000001】或【甘ZA0001】。"
    assert marked(text, find_matches(text, ["1640000000"])).count("【") == 2
    assert marked("无", ()) == "无"
