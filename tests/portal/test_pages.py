"""Each kind of page, as generated Markdown, from a public.db with made-up registers."""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from portal import figures, ledger, lists, pages, rows
from portal.errors import PortalError
from portal.markup import Page
from portal.site import Site
from portal.source import open_source
from tests.portal.public_db import EAST, HOSTILE, LAMPS, WEST, make_public_db


@pytest.fixture(scope="module")
def public_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A public.db with hostile rows."""
    return make_public_db(tmp_path_factory.mktemp("public") / "public.db")


@pytest.fixture
def site(public_db: Path) -> Iterator[Site]:
    """The data of that public.db."""
    with open_source(public_db) as source:
        yield Site(source)


def page_of(site: Site, path: str) -> Page:
    """Return the one generated page at *path*."""
    (found,) = [page for page in pages.generate(site) if page.path == path]
    return found


def test_every_page_has_its_own_path(site: Site) -> None:
    """No two pages overwrite each other, and each is where links expect it."""
    paths = [page.path for page in pages.generate(site)]
    assert len(paths) == len(set(paths))
    assert {"index.md", "community/index.md", "figures.md", "data.md", "withheld.md", "r/errand/k-BS-01.md"} <= set(
        paths
    )
    assert len([path for path in paths if path.startswith("r/errand/k-")]) == 3 + len(HOSTILE)


def test_home_has_figures_registers_and_communities(site: Site) -> None:
    """The home page marks each figure with exactly its text and links everything else, in menu order."""
    body = pages.home_page(site).body
    assert '<span data-figure="lamp_rate">96.6% (544/563)</span>' in body
    assert '<span data-figure="lamp_all">563</span></strong> <span class="sg-unit">件</span>' in body
    assert "截至2026年11月21日 18:30" in body
    assert body.index("办事指南") < body.index("路灯维修") < body.index(">片区<")
    assert f'<a href="community/{EAST}.html">东坡社区</a>' in body


def test_the_first_page_shows_the_figures_that_registers_put_there(site: Site) -> None:
    """Declared ones alone, in the order of the menus; all others stay one click away."""
    lamp = site.registers["lamp"]
    site.registers = {**site.registers, "lamp": replace(lamp, layout=replace(lamp.layout, headlines=("lamp_rate",)))}
    body = pages.home_page(site).body
    assert re.findall(r'data-figure="(\w+)"', body) == ["lamp_rate"]
    assert "全部 3 个数字和算法" in body


def test_row_page_shows_steps_materials_phone_and_evidence(site: Site) -> None:
    """Sections come in the declared order and form; the evidence link leaves the portal's folder."""
    body = page_of(site, "r/errand/k-BS-01.md").body
    assert '<span class="sg-badge sg-mark">示例</span>' in body
    assert "## 要带的材料\n\n- 身份证原件\n- 户口簿" in body
    assert '<li><strong>提出申请</strong><br><span class="sg-note">谁办：居民；时限：当日</span></li>' in body
    assert '<li><strong>盖章</strong><br><span class="sg-note">谁办：社区</span></li>' in body
    assert '<td data-label="风险">优亲厚友</td><td data-label="等级">高</td>' in body
    assert "## 依据\n\n第一条<br>第二行\n\n第二段" in body
    assert '<a href="tel:09380000001" class="sg-phone">' in body
    assert '<a href="../../../log/proofs/errand/BS-01.json" class="sg-evidence">查看签名证据</a>' in body
    assert '<a href="../../../public/errand/BS-01">' in body
    assert '<th scope="row">事项编号</th><td>BS-01</td>' in body


def test_withheld_and_empty_sections_say_so(site: Site) -> None:
    """A withheld field reads 不予公开, an empty one a dash; neither vanishes."""
    body = page_of(site, "r/errand/k-BS-02.md").body
    assert "## 依据\n\n不予公开" in body
    assert "## 监督电话\n\n—" in body


def test_list_page_is_grouped_by_declared_codes(site: Site) -> None:
    """Groups come in the order in which the register declares its codes, under the codes' labels."""
    body = page_of(site, "r/errand/index.md").body
    assert body.index("## 低保救助") < body.index("## 用章")
    assert "来之前先看要带什么。" in body
    assert '<a href="../../r/errand/k-BS-01.html">开具居住证明</a>' in body


def test_large_register_is_split_by_community(site: Site) -> None:
    """A list shows the newest rows of a community and how many there are; the rest is a query away."""
    index = page_of(site, "r/lamp/index.md").body
    assert f'<a href="../../r/lamp/c-{WEST}.html">西苑社区</a>' in index
    assert "不分社区" in index
    body = page_of(site, f"r/lamp/c-{WEST}.md").body
    assert body.count("查看签名证据") == 50
    assert "共 65 条。" in body
    assert "下面是最新的 50 条。" in body
    assert f"../../../public/lamp?_community__exact={WEST}" in body
    assert "1,235.08元" in body  # money in 分
    assert '<td data-label="片区">西苑社区</td>' in body  # a reference shows the name, not the key
    assert '<td data-label="期限"><span class="sg-unbroken">2026-11-30</span></td>' in body
    assert "## 办理中" in body


def test_row_pages_of_a_large_register_are_all_reached(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """List pages of a register with row pages come in leaves that together link every row."""
    monkeypatch.setattr(lists, "WHOLE_LIMIT", 5)
    leaves = list(lists.register_pages(site, site.registers["errand"]))
    numbers = range(2, -(-(3 + len(HOSTILE)) // 5) + 1)
    assert [leaf.path for leaf in leaves] == ["r/errand/index.md", *(f"r/errand/index-{n}.md" for n in numbers)]
    assert sum(leaf.body.count("查看签名证据") for leaf in leaves) == 3 + len(HOSTILE)
    assert '<a href="../../r/errand/index.html">上一页</a>' in leaves[1].body
    assert '<a href="../../r/errand/index-3.html">下一页</a>' in leaves[1].body


def test_conflict_is_marked_and_explained(site: Site) -> None:
    """The row carries the mark; the data page shows both values in words."""
    assert "冲突待裁定" in page_of(site, f"r/lamp/c-{EAST}.md").body or "冲突待裁定" in page_of(site, "data.md").body
    body = ledger.data_page(site).body
    assert "现有 1 项内容、1 条记录存在冲突。" in body
    assert "状态：已修好；期限：2026-11-30；片区：东坡社区" in body
    assert "状态：办理中" in body


def test_data_page_counts_verdicts_in_words(site: Site) -> None:
    """Accepted and refused by reason add up to the log; what only the centre knows is marked."""
    body = ledger.data_page(site).body
    assert '<td data-label="中心的裁定">已采纳</td><td data-label="条数">400</td>' in body
    assert "未采纳：没有写这一项的权限" in body
    assert "412 条" in body
    assert "由中心声明" in body


def test_withheld_page_counts_by_reason(site: Site) -> None:
    """Each reason and each register with its count."""
    body = ledger.withheld_page(site).body
    assert "涉及个人隐私" in body
    assert "状态、期限、片区" in body  # the group's columns
    assert "共 2 项" in body
    assert (
        body.index("共 2 项") < body.index("## 已删除的内容") < body.index("本人要求删除") < body.index("共 1 项") + 200
    )


def test_an_erased_section_says_so(site: Site) -> None:
    """What was erased reads 已删除, and not 不予公开."""
    body = page_of(site, "r/errand/k-BS-03.md").body
    assert "已删除" in body
    assert "不予公开" not in body


def test_withheld_group_hides_each_of_its_columns(site: Site) -> None:
    """`_withheld` names a field; all columns of a group are then not disclosed."""
    assert page_of(site, "r/lamp/c-none.md").body.count("不予公开") >= 3


def test_figures_page_shows_queries(site: Site) -> None:
    """Each figure with n, d and SQL, blank lines included."""
    body = figures.figures_page(site).body
    assert '<span data-figure="lamp_none">—</span>' in body
    assert "select count(&#42;)\n&nbsp;\nfrom lamp" in body
    assert "where 1&#60;2 and &#39;&#124;&#39;" in body


def test_community_page_has_facts_and_rows(site: Site) -> None:
    """The community's own row first, then the newest rows of each register that has some there."""
    body = page_of(site, f"community/{EAST}.md").body
    assert "31,623户" in body
    assert "## 路灯维修" in body
    assert f"路灯维修：全部 {LAMPS // 2 + len(HOSTILE)} 条" in body
    assert "## 办事指南" not in body


def test_datasette_may_be_absent_or_elsewhere(public_db: Path) -> None:
    """Without an address there is no link; an absolute one is used as it is; a script is refused."""
    with open_source(public_db) as source:
        assert "/public/" not in "".join(page.body for page in pages.generate(Site(source, "")))
        page = page_of(Site(source, "https://data.example/x/"), "r/errand/k-BS-01.md")
        assert '"https://data.example/x/public/errand/BS-01"' in page.body.replace("&#58;", ":")
        with pytest.raises(PortalError):
            Site(source, "javascript:alert(1)")


def test_hostile_key_gets_a_safe_file_name(site: Site) -> None:
    """A key with slashes and markup names no file outside its folder, and its evidence link is encoded."""
    register = site.registers["errand"]
    row = site.source.find(register, "敌 0/<x>")
    assert row is not None
    assert site.row_path(row).startswith("r/errand/k-_")
    assert "%E6%95%8C%200/%3Cx%3E.json" in rows.row_page(site, row).body


@pytest.mark.parametrize("spoil", ["UPDATE meta SET value = '2' WHERE key = 'protocol_version'", "DROP TABLE leaf"])
def test_other_database_is_refused(tmp_path: Path, spoil: str) -> None:
    """A public.db of another version or shape is refused by name, not with a traceback of SQLite."""
    path = make_public_db(tmp_path / "public.db")
    with sqlite3.connect(path) as conn:
        conn.execute(spoil)
    conn.close()
    with pytest.raises(PortalError, match=r"public\.db"), open_source(path) as source:
        list(pages.generate(Site(source)))


def test_bad_layout_is_refused(tmp_path: Path) -> None:
    """A portal block with a page kind that does not exist names the register and what is possible."""
    path = make_public_db(tmp_path / "public.db")
    with sqlite3.connect(path) as conn:
        conn.execute("""UPDATE register SET portal = '{"page": "map"}' WHERE name = 'lamp'""")
    conn.close()
    with pytest.raises(PortalError, match="register lamp"), open_source(path):
        pass


def test_missing_database_is_named(tmp_path: Path) -> None:
    """No file, no portal."""
    with pytest.raises(PortalError, match=r"nowhere\.db"), open_source(tmp_path / "nowhere.db"):
        pass
