"""What can be found, and the files of the index."""

import json
import shutil
import sqlite3
import tracemalloc
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal import build as building
from portal import find, pages, spill
from portal.errors import PortalError
from portal.shards import CHUNK_IDS, INLINE_IDS, Shards, encode_ids, files_for, shard_of
from portal.site import Site
from portal.source import open_source
from portal.spill import Spill
from portal.wording import fold, terms
from syncgov.publish.bigrams import index_text
from tests.portal.public_db import EAST, make_public_db

CONTENT = Path(find.__file__).parent / "content"
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The small portal, with hostile rows."""
    with open_source(make_public_db(tmp_path / "public.db")) as source:
        yield Site(source)


def part(path: Path) -> Any:
    """Return the data of one part."""
    return json.loads(path.read_text(encoding="utf-8").split(",", 2)[2].removesuffix(")\n"))


@contextmanager
def spilled(path: Path, postings: Mapping[str, range]) -> Iterator[Spill]:
    """Give a scratch file that holds these places of words."""
    with closing(Spill(path)) as spill:
        for number in range(max(ids.stop for ids in postings.values())):
            spill.post(number, [term for term, ids in postings.items() if number in ids])
        yield spill


def decode(text: str) -> list[int]:
    """Return the numbers in a text of `encode_ids`."""
    out, before, gap, shift = [], -1, 0, 0
    for sign in text:
        digit = _DIGITS.index(sign)
        gap, shift = gap + ((digit & 31) << shift), shift + 5
        if digit < 32:
            before += gap + 1
            out.append(before)
            gap = shift = 0
    return out


@given(st.sets(st.integers(0, 2_000_000)))
def test_numbers_come_back(ids: set[int]) -> None:
    """Encoding loses nothing, and small gaps take one character."""
    assert decode(encode_ids(sorted(ids))) == sorted(ids)


def test_dense_numbers_take_one_character() -> None:
    """What is nearly everywhere costs one byte a row."""
    assert len(encode_ids(range(0, 1000, 3))) == 334


@given(st.text(alphabet="光伏组件ＡａÉé3 ，𠮷の한ｶﾞ々-", max_size=12))
def test_chinese_is_listed_as_in_the_public_database(text: str) -> None:
    """Every pair and last character of the database's index is a term of the portal's."""
    tokens = fold(index_text(text)).split()
    assert {token for token in tokens if len(token) <= 2 and token.isalpha() and not token.isascii()} <= terms(text)


def test_index_is_linear_and_no_file_grows(tmp_path: Path) -> None:
    """Ten times the rows: about ten times the bytes, and no file larger than the bound."""
    sizes = {}
    for rows in (2_000, 20_000):
        postings = {f"词{i}": range(i % 7, rows, 7 + i % 50) for i in range(400)}
        folder = tmp_path / str(rows)
        with spilled(tmp_path / f"{rows}.db", postings) as spill:
            assert Shards(folder, "e").write_terms(spill) == len(list((folder / "t").iterdir()))
        files = [path.stat().st_size for path in folder.rglob("*.js")]
        assert max(files) < 64_000
        sizes[rows] = sum(files)
    assert 5 < sizes[20_000] / sizes[2_000] < 12
    assert [files_for(total, 8) for total in (1, 8, 9, 17)] == [1, 1, 2, 4]


def test_long_lists_are_cut_in_parts(tmp_path: Path) -> None:
    """A term with many rows names the parts that hold them, each with its first row."""
    postings = {"多": range(0, 3 * (2 * CHUNK_IDS + 9), 3), "少": range(INLINE_IDS)}
    with spilled(tmp_path / "spill.db", postings) as spill:
        files = Shards(tmp_path, "e").write_terms(spill)
    found = {term: entry for n in range(files) for term, entry in part(tmp_path / f"t/{n}.js")}
    assert decode(found["少"]) == list(postings["少"])
    assert [first for first, _ in found["多"]] == [0, 3 * CHUNK_IDS, 6 * CHUNK_IDS]
    assert [id for _, n in found["多"] for id in decode(part(tmp_path / f"p/{n}.js"))] == list(postings["多"])


def test_every_record_is_where_its_address_says(site: Site, tmp_path: Path) -> None:
    """Each row without a page of its own stands in the file that its address names; hostile text closes no script."""
    total = find.write_index(site, pages.others(site), CONTENT, tmp_path / "find")
    start = json.loads((tmp_path / "find/start.js").read_text().removeprefix("syncgovStart(").removesuffix(")\n"))
    assert start["docs"] == total
    listed = [item for item in site.listed if item.layout.page == "list"]
    rows = [row for item in listed for row in site.source.rows(item)]
    assert len(rows) > 130
    for row in rows:
        address = site.record_name(row)
        held = dict(part(tmp_path / f"find/m/{shard_of(address, start['records'])}.js"))
        assert held[address]["evidence"] == row.evidence
    assert not [path for path in (tmp_path / "find").rglob("*.js") if "</" in path.read_text(encoding="utf-8")]


def test_the_size_of_a_run_changes_nothing(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a handful of words in memory at a time the files are the same, byte for byte, and no scratch is left."""
    whole, runs = tmp_path / "whole", tmp_path / "runs"
    find.write_index(site, pages.others(site), CONTENT, whole)
    monkeypatch.setattr(spill, "RUN", 50)
    find.write_index(site, pages.others(site), CONTENT, runs)
    found = {path.relative_to(whole): path.read_bytes() for path in whole.rglob("*.js")}
    assert found == {path.relative_to(runs): path.read_bytes() for path in runs.rglob("*.js")}
    assert len(found) > 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["public.db", "runs", "whole"]


def test_memory_does_not_grow_with_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight times the places of words, all of them new words, take no more memory than a run; and all come back."""
    monkeypatch.setattr(spill, "RUN", 2_000)
    peaks = []
    for cards in (400, 3_200):
        with closing(Spill(tmp_path / f"{cards}.db")) as scratch:
            tracemalloc.start()
            for number in range(cards):
                scratch.post(number, [f"{number}-{word}" for word in range(20)])
                scratch.add_card(number, "卡" * 500)
            assert sum(len(ids) for _term, ids in scratch.postings()) == cards * 20
            assert sum(len(text) for text in scratch.cards()) == cards * 500
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] < 3_000_000


def test_guides_come_first_and_what_is_withheld_is_not_found(site: Site) -> None:
    """Order: rows with pages, other pages, matters with the newest first; only disclosed words are in the texts."""
    found = list(find.documents(site, pages.others(site), CONTENT))
    kinds = list(dict.fromkeys(each.kind for each in found))
    assert kinds == ["办事指南", "网页", "路灯维修", "片区"]
    addresses = [each.address for each in found]
    assert len(addresses) == len(set(addresses))
    assert {"community/index.html", "verify.html", "spec/protocol.html", f"community/{EAST}.html"} <= set(addresses)
    assert not {"find.html", "record.html", "check.html"} & set(addresses)
    (guide,) = [each for each in found if each.address.endswith("k-BS-01.html")]
    assert {"开具居住证明", "身份证原件\n户口簿", "BS-01"} <= set(guide.parts)
    lost = next(each for each in found if each.address.endswith("lamp/lost"))
    assert "办理中" not in "".join(lost.parts)


def test_the_column_list_decides_what_is_searched(tmp_path: Path) -> None:
    """A text column that public.db does not mark as searched is not in the index."""
    path = make_public_db(tmp_path / "public.db", hostile=[])
    with sqlite3.connect(path) as conn:
        conn.execute("""UPDATE "column" SET public_text = 0 WHERE name = 'bring'""")
    conn.close()
    with open_source(path) as source:
        site = Site(source)
        texts = [part for each in find.documents(site, [], CONTENT) for part in each.parts]
    assert not [text for text in texts if "户口簿" in text]


FRONT = {
    "bad YAML": ("---\ntitle: a\nfind: [\n---\n# 甲\n", 3, "not valid YAML"),
    "tab": ("---\ntitle: a\n\tfind: false\n---\n# 甲\n", 3, "not valid YAML"),
    "no end": ("---\ntitle: a\n# 甲\n", 1, "add a line ---"),
    "no mapping": ("---\ntitle\n---\n# 甲\n", 2, "`name: value`"),
}


@pytest.mark.parametrize("name", FRONT)
def test_a_slip_at_the_start_of_a_written_page_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The build says file, line and remedy, and the site that stands stays as it is, with nothing beside it."""
    source, line, said = FRONT[name]
    shutil.copytree(building.HERE / "content", tmp_path / "here/content")
    shutil.copytree(building.HERE / "static", tmp_path / "here/static")
    shutil.copyfile(building._template(), tmp_path / "here/mkdocs.yml")
    (tmp_path / "here/content/about.md").write_text(source, encoding="utf-8")
    monkeypatch.setattr(building, "HERE", tmp_path / "here")
    public_db = make_public_db(tmp_path / "public.db", hostile=[])
    (tmp_path / "out/portal").mkdir(parents=True)
    (tmp_path / "out/portal/index.html").write_text("stands")
    assert building.main([str(public_db), str(tmp_path / "out/portal")]) == 65
    told = capsys.readouterr().err
    assert f"about.md:{line}: " in told
    assert f"about.md 第 {line} 行" in told
    assert said in told
    assert [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*")] == [
        "portal", "portal/index.html",
    ]  # fmt: skip


def test_a_written_page_in_another_encoding_is_named(tmp_path: Path) -> None:
    """A page saved by an old editor is not taken apart; a mark at its start and line ends of Windows do not matter."""
    good = tmp_path / "a.md"
    good.write_bytes(b"\xef\xbb\xbf" + "---\r\nfind: false\r\n---\r\n# 甲\r\n".encode())
    assert find._front_matter(good) == ({"find": False}, "# 甲\n")
    good.write_bytes("---\ntitle: 甲\n---\n".encode("gb18030"))
    with pytest.raises(PortalError, match=r"a\.md:2: not UTF-8"):
        find._front_matter(good)
