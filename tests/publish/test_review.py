"""Detectors, and that nothing unread is published."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from syncgov.publish.detectors import find_sensitive
from syncgov.publish.publish import publish
from tests.helpers import update
from tests.publish.place import CANARIES, Place
from tests.publish.reading import cells, row

SENSITIVE = {
    "身份证110105194912310021": "id18",
    "身份证 000000 19900101 0018": "id18",
    "证号３７０８０２１９４００１２０００２Ｘ": "id18",
    "旧证370802400120002": "id15",
    "卡号 6222 0212 3456 7890 128": "bank_card",
    "打13912345678": "mobile",
    "打 139-1234-5678": "mobile",
    "打+86 139 1234 5678": "mobile",
    "座机0938-8211111": "landline",
    "座机（0938）8211111": "landline",
    "座机0938—821 1111": "landline",
    "电话：8211111": "landline",
    "微信号是 12345678": "account",
    "车牌甘E12345": "plate",
    "车牌甘E·D12345": "plate",
    "邮箱 a.b@example.cn": "email",
    "住3号楼2单元502室": "address",
    "住3-2-502": "address",
    "住二单元1101": "address",
    "学生名叫王小明": "minor",
    "孩子李某": "minor",
    "王小明同学": "minor",
    "患乙肝": "illness",
    "持残疾证": "illness",
}
HARMLESS = [
    "三至五层声控灯全部不亮，更换灯具十二盏，2026-11-21 10:30 修复",
    "1号楼旁、3号楼二单元、8号楼一层",
    "拨打12345热线",
    "2026年第一季度支出 8600 元，参会 32 人，合计 123456 元",
    "编号 62050200700120261121001 的事件已办结",
    "学生上学路口信号灯不亮，儿童乐园护栏松动",
    "2026-11-21 至 2026-12-21 公示",
    "甘肃省天水市秦州区",
]


@pytest.mark.parametrize(("text", "detector"), SENSITIVE.items())
def test_a_detector_finds_what_it_is_for(text: str, detector: str) -> None:
    """Each kind of private datum, also in full-width letters and with separators."""
    assert detector in find_sensitive(f"有居民反映，{text}，请处理。")


@pytest.mark.parametrize("text", HARMLESS)
def test_ordinary_texts_pass(text: str) -> None:
    """Dates, amounts, public places and public numbers are no hits."""
    assert find_sensitive(text) == ()


def test_a_known_private_string_is_found() -> None:
    """Names of the record's own contacts; a single character is too little to tell."""
    assert find_sensitive("已答复欧阳文", ["欧阳文"]) == ("known",)
    assert find_sensitive("已答复欧阳文", ["文", ""]) == ()


class BusyCentre:
    """A centre to which somebody pushes just before each of the publisher's own writes."""

    def __init__(self, place: Place, texts: list[str]) -> None:
        self._place = place
        self._texts = texts
        self.clock = place.world.centre.clock
        self.reader = place.world.centre.reader
        self.sign_list = place.world.centre.sign_list

    def write(self, table: str, rows: Sequence[tuple[str, Mapping[str, Any] | None]]) -> list[int]:
        """Take in a changeset first."""
        if self._texts:
            desk = self._place.world.replicas["desk"]
            self._place.world.sync(desk, CANARIES["by2"])
            update(desk, "lamp", self._place.keys[0], words=self._texts.pop())
            self._place.world.sync(desk, CANARIES["by2"])
        return self._place.world.centre.write(table, rows)

    def note_published(self, folder: Path, size: int) -> None:
        """Nothing of interest."""


def test_what_arrives_during_publication_is_read_too(own_place: Place) -> None:
    """A telephone that is pushed after the texts were read is withheld in the same publication."""
    busy = BusyCentre(own_place, ["又打 13912345679", "打 13912345678"])
    done = publish(busy, own_place.out, portal=False, again=True)
    assert done.newly_withheld == 2
    assert row(own_place.out, "lamp", own_place.keys[0])["_withheld"] == "words"
    assert not cells(own_place.out, "SELECT 1 FROM history WHERE value LIKE '%1391234567%'")


def test_a_withholding_of_something_else_hides_nothing(own_place: Place) -> None:
    """It names the write exactly, or it has no effect; presence and community can never be hidden."""
    sql = "SELECT idx, position, field FROM history WHERE register = 'lamp' AND key = ? ORDER BY idx, position"
    found = {name: (idx, position) for idx, position, name in cells(own_place.out, sql, own_place.keys[0])}
    leaf = own_place.world.leaf(found["_community"][0])
    dev, seq = leaf.changeset.statement.dot
    centre = own_place.world.centre
    for name, path in (("_community", f"lamp/{own_place.keys[0]}/_community"), ("kind", "lamp/other/kind")):
        key = f"{dev}.{seq}.{found[name][1]}"
        columns: dict[str, Any] = {"path": path, "over": [], "reason": "law"}
        centre.write("withholding", [(key, columns)])
    own_place.publish()
    shown = row(own_place.out, "lamp", own_place.keys[0])
    assert (shown["kind"], shown["_withheld"]) == ("bulb", "")
    assert shown["_community"] is not None
    assert len(cells(own_place.out, "SELECT 1 FROM withheld")) == 1


def test_a_manual_withholding_hides_any_field(own_place: Place) -> None:
    """A code, for reasons of law; the row says so and the figure over it goes on."""
    sql = "SELECT idx, position FROM history WHERE key = ? AND field = 'kind'"
    ((index, position),) = cells(own_place.out, sql, own_place.keys[0])
    dev, seq = own_place.world.leaf(index).changeset.statement.dot
    path = f"lamp/{own_place.keys[0]}/kind"
    columns: dict[str, Any] = {"path": path, "over": [], "reason": "law"}
    own_place.world.centre.write("withholding", [(f"{dev}.{seq}.{position}", columns)])
    own_place.publish()
    shown = row(own_place.out, "lamp", own_place.keys[0])
    assert (shown["kind"], shown["_withheld"]) == (None, "kind")
    assert cells(own_place.out, "SELECT reason FROM withheld WHERE field = 'kind'") == [("law",)]
