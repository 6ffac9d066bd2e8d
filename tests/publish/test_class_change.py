"""A field becomes public: what was written before stays private, and the public can fold what it sees."""

from pathlib import Path

from syncgov.audit.audit import audit
from syncgov.core.register import parse_register
from tests.audit.street import write_pages
from tests.helpers import EAST, ManualClock, World, insert, update
from tests.leaks import holders
from tests.publish.place import Place
from tests.publish.reading import cells, row

TEXT = """\
register: paper
version: 1
label: 文书
key: uuid
area: spot
skeleton: {community: spot, prefix: 6}
write: [worker]
read: {public: ['*'], internal: [worker]}
fields:
  spot: {label: 地点, type: text, class: public, required: true}
  words: {label: 文字, type: text, class: internal, merge: review, resolve: [worker]}
"""
SECRET = "鹮貉隼鹀OLDPRIVATE7Q2M"


def test_what_was_written_as_internal_stays_private(tmp_path: Path) -> None:
    """Before the change nothing shows; two devices then clash, and the value before the clash is the private one."""
    with World.make(tmp_path, [parse_register(TEXT, "paper.yml")], ManualClock()) as world:
        one, two = world.device("one"), world.device("two")
        old = insert(one, "paper", {"spot": EAST, "words": SECRET})
        world.sync(one)
        place = Place(world, tmp_path / "out", ManualClock(), None)  # type: ignore[arg-type]
        world.centre.write(
            "register", [("paper", {"text": TEXT.replace("class: internal, merge", "class: public, merge")})]
        )
        for device in (one, two):
            world.sync(device)
        place.publish()
        assert row(place.out, "paper", old)["words"] is None
        update(one, "paper", old, words="公开甲")
        update(two, "paper", old, words="公开乙")
        for device in (one, two):
            world.sync(device)
        place.publish()
        assert row(place.out, "paper", old)["words"] == "公开甲"
        assert len(cells(place.out, "SELECT 1 FROM conflict WHERE field = 'words'")) == 2
        found = holders([SECRET], [path for path in place.out.rglob("*") if path.is_file()])
        assert found == {SECRET: set()}
        write_pages(place.out, {})
        assert audit(place.out, tmp_path / "centre" / "charter.json").ok
