"""Leaks that happened, with invented people: none of their kind reaches the published folder.

Each case is rows as somebody once put them on a website or a notice board; sources in the notes on the domain.
"""

from collections.abc import Iterator

import pytest

from syncgov.publish.desk import waiting
from syncgov.publish.publish import publish
from tests.helpers import World
from tests.leaks import holders
from tests.publish.place import LAMP, TEXTS, Place, add, make_place
from tests.publish.test_leaks import files

SURNAMES, GIVEN = "王李张刘陈杨黄赵周吴", ("国强", "秀珍", "德明", "春兰", "志远", "玉梅", "大山", "晓燕")
ILLS = ("乙肝", "尿毒症", "精神分裂症", "肺结核", "糖尿病", "乳腺癌", "癫痫")
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def name(number: int) -> str:
    """Return the name of an invented person."""
    return SURNAMES[number % 10] + GIVEN[number // 10 % 8]


def person(number: int) -> str:
    """Return an identity number with a right check digit and a region that does not exist."""
    body = f"9901{number % 100:02d}{1950 + number % 55}{1 + number % 12:02d}{1 + number % 28:02d}{number:03d}"
    return body + "10X98765432"[sum(w * int(d) for w, d in zip(WEIGHTS, body, strict=True)) % 11]


def card(number: int) -> str:
    """Return a card number that no bank gives out, with a right Luhn digit."""
    body = f"999900{number:012d}"
    doubled = (int(d) * (2 - i % 2) for i, d in enumerate(reversed(body)))
    return body + str(-sum(n - 9 if n > 9 else n for n in doubled) % 10)


Case = list[tuple[str, tuple[str, ...]]]  # texts, and what in them must not be found


def couples(count: int, single: int) -> Case:
    """Couples with the day of their examination; *single* of them without the man's number."""
    rows: Case = []
    for n in range(count):
        ids = (person(2 * n),) if n < single else (person(2 * n), person(2 * n + 1))
        rows.append((f"{name(n)} {name(n + 40)} {' '.join(ids)} 孕检 2017-0{1 + n % 9}-1{n % 10}", ids))
    return rows


ROSTER: Case = [(f"低保户{name(n)}，保障人口2人，每月{400 + n}元", (f"户{name(n)}",)) for n in range(12)]
ROSTER += [(f"低保花名册：{name(1)}、{name(12)}、{name(23)}、{name(34)}", (f"、{name(12)}、",))]
CASES: dict[str, Case] = {
    "阳光社区：40 对夫妇，77 个完整身份证号，检查日期": couples(40, 3),
    "翠湖社区：23 对夫妇": [
        (f"孕前检查夫妇：男方{name(n)}，女方{name(n + 30)}，结果已告知", (f"方{name(n)}", f"方{name(n + 30)}"))
        for n in range(23)
    ],
    "罗塘乡：低保花名册": ROSTER,
    "杏林街道：病名": [(f"救助对象 编号{n}，{ILLS[n % 7]}，自付费用{n}万元", (ILLS[n % 7],)) for n in range(14)],
    "黎川县：身份证号和健康状况": [
        (f"{name(n)}，{person(200 + n)}，{'一般' if n % 2 else ILLS[n % 7]}", (person(200 + n),)) for n in range(25)
    ],
    "钱塘区：身份证号、银行卡、住址": [
        (
            f"{name(n)} {person(300 + n)} {card(n)} {n % 20 + 1}幢2单元{n % 9 + 1}02室",
            (person(300 + n), card(n), f"2单元{n % 9 + 1}02室"),
        )
        for n in range(20)
    ],
}
NUMBERS = sum(len(secrets) for _text, secrets in CASES["阳光社区：40 对夫妇，77 个完整身份证号，检查日期"])
HARMLESS = "鹮路灯已经换好，共十二盏"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """All cases on one device, synced and published; beside them a text that anybody may read."""
    made = make_place(tmp_path_factory.mktemp("leaks"))
    east = made.world.replicas["east"]
    number = 1000
    for rows in CASES.values():
        for text, _secrets in rows:
            add(east, number, words=text)
            number += 1
    made.keys.append(add(east, number, words=HARMLESS))
    made.world.sync(east, made.canaries["person"])
    made.publish()
    yield made
    made.world.close()


def test_the_cases_are_as_large_as_they_were() -> None:
    """Forty couples, seventy-seven numbers; a text fits into the field that it is meant for."""
    assert NUMBERS == 77
    assert max(len(text) for rows in CASES.values() for text, _ in rows) <= 200
    assert "words" in LAMP
    assert set(TEXTS) >= {"lamp"}


def test_every_row_of_every_leak_is_withheld(place: Place) -> None:
    """Not one of them depends on its neighbour: each text is a hit of its own."""
    assert place.published.newly_withheld == sum(len(rows) for rows in CASES.values())


def test_no_leak_reaches_the_published_folder(place: Place) -> None:
    """Rows, history, disclosed bodies, proofs, data files, search index: the harmless text is there, no secret is."""
    secrets = sorted({secret for rows in CASES.values() for _text, found in rows for secret in found})
    assert len(secrets) > 150
    found = holders([*secrets, HARMLESS], files(place.out))
    assert len(found.pop(HARMLESS)) >= 3
    assert {secret: where for secret, where in found.items() if where} == {}


def test_each_leak_waits_at_the_desk(place: Place) -> None:
    """Nothing is withheld without somebody being asked."""
    texts = {item.text for item in waiting(place.world.centre.reader()) if item.state == "withheld"}
    assert texts >= {text for rows in CASES.values() for text, _secrets in rows}


def test_the_leaks_are_in_the_centre(place: Place) -> None:
    """The search looks for the right thing: what the public does not get, the centre holds."""
    secret = person(200)
    world: World = place.world
    assert holders([secret], files(world.folder / "centre"))[secret]
    assert publish(world.centre, place.out, portal=False).newly_withheld == 0
