"""What three people do on a phone, with clicks and keys: two residents and an auditor, in a street's year."""

import datetime
import io
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pypdfium2
import pytest
import zxingcpp
from playwright.sync_api import Browser, Page, expect

from portal.print_sheets import print_sheets
from portal.site import Site
from portal.source import open_source
from syncgov.core.charter import open_charter
from syncgov.core.record_proof import verify_record_proof
from syncgov.errors import SyncgovError
from tests.browser.browsing import Opened, opened
from tests.browser.conftest import Street
from tests.browser.kinds import Record, records

pytestmark = pytest.mark.browser

PHONE = 390
A4, A3 = (595, 842), (842, 1191)  # points
PLACES = 12  # of a proof where a byte is changed


@pytest.fixture
def phone(browser: Browser, street: Street) -> Iterator[Opened]:
    """The portal's first page on a phone; nothing that is done may leave the host or break a script."""
    seen = opened(browser, street.base, PHONE)
    seen.page.goto(street.address + "index.html")
    yield seen
    assert seen.elsewhere() == []
    assert seen.errors == []
    seen.page.close()


@pytest.fixture(scope="module")
def late(street: Street) -> Record:
    """What the portal knows of a matter that is not done and past its deadline."""
    return next(each for each in records(street.portal) if each.is_late and "天" in each.lamp[1])


def find(page: Page, words: str, record: Record) -> None:
    """Search in the box of the page that is open, and open what was looked for."""
    page.click("#sg-find-words")
    page.keyboard.type(words)
    page.click(".sg-find button")
    page.wait_for_url("**/find.html?q=*")
    page.locator(f"#sg-found a[href$='{record.address}']").click()
    page.wait_for_selector(".sg-facts")


# a resident and a late matter ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["number", "temporary number", "words"])
def test_a_resident_finds_a_matter_and_reads_why_it_is_late(
    phone: Opened, street: Street, late: Record, by: str
) -> None:
    """By its number, the temporary number or words; the page says since when, in what step, and whose it is."""
    facts = late.facts
    words = {
        "number": facts["编号"],
        "temporary number": facts["临时编号"],
        "words": f"{facts['社区']} {facts['类别']}",
    }
    find(phone.page, words[by], late)
    expect(phone.page.locator("h1")).to_have_text(late.title)
    with closing(sqlite3.connect(street.public / "public.db")) as db:
        sql = "SELECT date(due), (SELECT value FROM meta WHERE key = 'as_of') FROM event WHERE key = ?"
        due, as_of = map(datetime.datetime.fromisoformat, db.execute(sql, (late.key,)).fetchone())
        steps = "SELECT count(*) FROM history WHERE key = ? AND field = 'step' AND value IS NOT NULL"
        (written,) = db.execute(steps, (late.key,)).fetchone()
    over = (as_of.replace(tzinfo=None) - due - datetime.timedelta(days=1)) // datetime.timedelta(days=1) + 1
    lamp = phone.page.locator("#sg-record > p .sg-lamp--late")
    expect(lamp).to_have_text(f"超期{over}天")
    said = phone.page.inner_text("#sg-record")
    unit = late.steps[-1][3] or next(step[3] for step in reversed(late.steps) if step[3])
    for told in (f"办理期限到{due.year}年{due.month}月{due.day}日为止", "期限届满时停在", f"责任单位：{unit}", "登记"):
        assert told in said, told
    assert phone.page.locator(".sg-steps > li").count() == written == len(late.steps) >= 2
    assert all(step[1] in said and step[2] in said for step in late.steps)
    phone.page.get_by_role("link", name="看怎样投诉").click()
    expect(phone.page.locator("h1")).to_have_text("怎样投诉")


# a resident and a micro-power ----------------------------------------------------------------------------------------


def test_a_resident_looks_up_a_micro_power_and_prints_the_sheet(phone: Opened, street: Street, late: Record) -> None:
    """What to bring stands first; the community's sheet names a power, and becomes one A4 page with its code."""
    page = phone.page
    page.get_by_role("article").get_by_role("link", name="小微权力清单").click()
    title = page.locator(".sg-table td a").first.inner_text()
    page.get_by_role("link", name=title, exact=True).first.click()
    expect(page.locator("h1")).to_contain_text(title)
    assert page.locator("article h2").first.inner_text() == "要带什么"
    assert page.locator("article h2 + ul li").count() >= 1

    page.goto(street.address + "index.html")
    with closing(sqlite3.connect(street.public / "public.db")) as db:
        powers = [name for (name,) in db.execute("SELECT name FROM micro_power")]
    community = late.facts["社区"]
    page.get_by_role("article").get_by_role("link", name=community).click()
    page.locator("article a[href*='/sheet/']").first.click()
    expect(page.locator("h1")).to_have_text(f"{community}公示栏")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= PHONE
    text = printed(page.pdf(prefer_css_page_size=True), A4)
    for told in (community, "本月小微权力", "材料", "电话", "校验码", "演示数据"):
        assert told in text, told
    assert any(name in text for name in powers)
    assert "Ctrl" not in text  # words for the screen stay there


@pytest.mark.parametrize(("paper", "size"), [("A4", A4), ("A3", A3)])
def test_a_sheet_for_the_notice_board_is_one_page(
    browser: Browser, street: Street, tmp_path: Path, paper: str, size: tuple[int, int]
) -> None:
    """As the command writes it for a known address: the fullest community fits, and the code leads to its page."""
    address = "https://town.example/open/portal"
    with open_source(street.public / "public.db") as source:
        sheets = print_sheets(Site(source, address=address), tmp_path, "", "", paper)
    fullest = max(sheets, key=lambda path: path.stat().st_size)
    page = browser.new_page()
    page.goto(fullest.as_uri())
    code = fullest.stem.partition("-")[0]
    pdf = page.pdf(prefer_css_page_size=True, print_background=True)
    page.close()
    assert "截至" in printed(pdf, size, f"{address}/community/{code}.html")


def printed(pdf: bytes, size: tuple[int, int], code: str = "") -> str:
    """Return the text of *pdf*, which must be one page of that size with a QR code that can be read from the paper."""
    with closing(pypdfium2.PdfDocument(io.BytesIO(pdf))) as document:
        assert len(document) == 1
        with closing(document[0]) as page:
            assert tuple(map(round, page.get_size())) == size
            drawn = page.render(scale=3).to_pil().convert("L")
            with closing(page.get_textpage()) as text:
                told = text.get_text_bounded()
    found = zxingcpp.read_barcodes(drawn)
    assert len(found) == 1
    assert found[0].text == code if code else found[0].text.count("\n") == 2  # log, size, root
    return str(told)


# an auditor ----------------------------------------------------------------------------------------------------------


def verdict(page: Page) -> str:
    """Wait for the verdict and return its title."""
    page.wait_for_selector("#sg-check-result:not([hidden]):not(.sg-verdict--busy)")
    return page.locator("#sg-check-result h2").inner_text()


def check(page: Page, name: str, data: bytes) -> str:
    """Choose a file of these bytes, as from a stick, and return the verdict on it."""
    page.evaluate("document.getElementById('sg-check-result').hidden = true")
    page.set_input_files("#sg-check-file", {"name": name, "mimeType": "application/json", "buffer": data})
    return verdict(page)


def test_an_auditor_checks_a_record_online(phone: Opened, street: Street, late: Record) -> None:
    """From the matter's page by one click; with the own charter nothing about it stays open."""
    find(phone.page, late.facts["编号"], late)
    phone.page.get_by_role("link", name="在浏览器里核对").click()
    assert verdict(phone.page) == "核对通过"
    said = phone.page.inner_text("#sg-check-result")
    for told in ("没有另外提供章程", "不能证明内容属实", late.key):
        assert told in said, told
    phone.page.set_input_files("#sg-check-charter", street.charter)
    assert check(phone.page, "proof.json", (street.public / late.evidence).read_bytes()) == "核对通过"
    assert "没有另外提供章程" not in phone.page.inner_text("#sg-check-result")


def test_an_auditor_checks_a_record_without_a_line(phone: Opened, street: Street, late: Record) -> None:
    """A page loaded before the line broke checks a file; what it cannot fetch it does not call valid."""
    phone.page.goto(street.address + "check.html")
    phone.page.context.set_offline(True)
    phone.page.evaluate("address => { location.hash = address }", f"../{late.evidence}")
    assert verdict(phone.page) == "没有核对成"
    assert check(phone.page, "proof.json", (street.public / late.evidence).read_bytes()) == "核对通过"


def test_an_auditor_checks_a_record_from_a_stick(
    browser: Browser, street: Street, late: Record, tmp_path: Path
) -> None:
    """The folder copied, opened as files: the matter is found, its link says what to do, and the file is checked."""
    stick = tmp_path / "stick"
    shutil.copytree(street.portal, stick / "portal")
    (stick / late.evidence).parent.mkdir(parents=True)
    shutil.copy(street.public / late.evidence, stick / late.evidence)
    base = stick.as_uri() + "/"
    seen = opened(browser, base, PHONE)
    seen.page.context.set_offline(True)
    seen.page.goto(base + "portal/index.html")
    find(seen.page, late.facts["编号"], late)
    seen.page.get_by_role("link", name="在浏览器里核对").click()
    assert verdict(seen.page) == "没有核对成"
    assert "存下来" in seen.page.inner_text("#sg-check-result")
    seen.page.set_input_files("#sg-check-file", stick / late.evidence)
    seen.page.wait_for_selector(".sg-verdict--valid")
    assert seen.elsewhere() == []
    assert seen.errors == []
    seen.page.close()


def test_an_auditor_is_told_of_every_changed_byte(phone: Opened, street: Street, late: Record) -> None:
    """In the file and on the way from the server, one byte, at the ends, in names, values, hashes: 核对不通过."""
    whole = (street.public / late.evidence).read_bytes()
    charter = open_charter(street.charter.read_bytes())
    verify_record_proof(whole, charter)
    phone.page.goto(street.address + "check.html")
    places = [0, len(whole) - 1, whole.index(late.key.encode()), *range(7, len(whole), len(whole) // PLACES)]
    for place in places:
        changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        with pytest.raises(SyncgovError):
            verify_record_proof(changed, charter)
        assert check(phone.page, "proof.json", changed) == "核对不通过", place
    assert len(places) >= PLACES
    phone.page.route(f"**/{late.evidence}", lambda route: route.fulfill(body=whole.replace(b"1", b"2", 1)))
    phone.page.goto(f"{street.address}{late.address}")
    phone.page.get_by_role("link", name="在浏览器里核对").click()
    assert verdict(phone.page) == "核对不通过"
    assert "投诉" in phone.page.inner_text("#sg-check-result")
