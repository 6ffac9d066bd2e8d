"""Finding a matter as people do: typed at once, on a phone, from a folder of files, with the keyboard alone."""

import re
import sqlite3
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from portal.build import build
from portal.shards import shard_of
from portal.wording import fold
from syncgov.publish.bigrams import index_text
from tests.browser.browsing import opened
from tests.portal.public_db import EAST, HOSTILE, insert, make_public_db
from tests.publish.test_search import PLUGIN, TEXTS

pytestmark = pytest.mark.browser

PHONE = 390
KEY = "019c2b20-f2c0-709f-94b4-f2e0430125c5"
NUMBER = f"{EAST}20261101001"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published folder with hostile rows and a matter that has a number."""
    folder = tmp_path_factory.mktemp("published")
    path = make_public_db(folder / "public.db")
    with sqlite3.connect(path) as conn:
        insert(conn, "lamp", KEY, place="莲亭桥头灯不亮", state="open", _community=EAST, _no=NUMBER)
    conn.close()
    build(path, folder / "portal")
    return folder


@pytest.mark.parametrize(
    "words", [NUMBER, "20261101001", "临-4301-25c5", "430125C5", "莲亭桥头", "４３０１２５ｃ５", "东坡 桥头灯"]
)
def test_a_matter_is_found_with_the_keyboard_at_once(browser: Browser, files: str, words: str) -> None:
    """Tab to the box, type, Enter, without waiting for anything; then to the first result and its page, on a phone."""
    seen = opened(browser, files, PHONE)
    seen.page.goto(files + "index.html", wait_until="commit")
    seen.page.focus("#sg-find-words")
    seen.page.keyboard.insert_text(words)
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_selector("#sg-found li")
    assert seen.page.inner_text("#sg-found-status") == "找到 1 条。"
    seen.page.focus("#sg-found a")
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_selector(".sg-facts")
    assert seen.page.inner_text("h1") == "莲亭桥头灯不亮"
    assert "临-4301-25c5" in seen.page.inner_text("#sg-record")
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= PHONE
    assert seen.elsewhere() == []
    assert seen.errors == []
    seen.page.close()


def test_what_is_typed_before_the_scripts_run_counts(browser: Browser, address: str) -> None:
    """The page's scripts come late; what was typed meanwhile is searched for, without another key."""
    seen = opened(browser, address, PHONE)
    held = []
    seen.page.route("**/find-core.js", lambda route: held.append(route))
    seen.page.goto(address + "find.html", wait_until="commit")
    seen.page.fill("#sg-find-words", "桥头灯")
    seen.page.wait_for_timeout(100)
    held[0].continue_()
    seen.page.wait_for_selector("#sg-found li")
    assert seen.page.locator("#sg-found a").all_inner_texts() == ["莲亭桥头灯不亮"]
    seen.page.fill("#sg-find-words", "没有这种词")
    seen.page.wait_for_function("document.querySelector('#sg-found-status').textContent.startsWith('没有找到')")
    assert seen.page.locator("#sg-found li").count() == 0
    assert seen.page.locator("#sg-found-lists a").count() == 3
    seen.page.close()


def test_results_come_in_portions(browser: Browser, address: str) -> None:
    """Twenty at a time; the button goes on, the focus to the first new one, and at the end it is gone."""
    seen = opened(browser, address, PHONE)
    seen.page.goto(address + "find.html?q=号灯杆")
    seen.page.wait_for_selector("#sg-found li")
    assert seen.page.inner_text("#sg-found-status") == "先列出 20 条，后面还有。"
    seen.page.click("#sg-found-more")
    seen.page.wait_for_function("document.querySelectorAll('#sg-found li').length === 40")
    assert seen.page.evaluate("document.activeElement === document.querySelectorAll('#sg-found a')[20]")
    loaded = [url for url in seen.asked if "/find/" in url]
    assert len(loaded) < 12, loaded
    seen.page.close()


def test_a_late_matter_says_why(browser: Browser, files: str) -> None:
    """Lamp with words, steps with role, unit and deadline, the reason, evidence, and how to complain."""
    seen = opened(browser, files, PHONE)
    seen.page.goto(files + "r/lamp/index.html")
    seen.page.goto(files + "record.html#lamp/lamp-000")
    seen.page.wait_for_selector(".sg-steps")
    said = seen.page.inner_text("#sg-record")
    for words in ("超期6天", "为什么超期", "停在“办理中”", "综治平台操作员", "责任单位：西苑社区", "超期2天",
                  "办理期限：2026年11月10日", "看怎样投诉", "查看签名证据"):  # fmt: skip
        assert words in said, words
    assert seen.page.locator(".sg-lamp--late").count() >= 2
    evidence = seen.page.get_attribute(".sg-evidence", "href")
    assert evidence is not None
    assert evidence.endswith("/log/proofs/lamp/lamp-000.json")
    seen.page.close()


def test_hostile_rows_stay_text(browser: Browser, files: str) -> None:
    """As results and as records: nothing runs, no element comes of them, nothing scrolls sideways."""
    seen = opened(browser, files, PHONE)
    for number in range(len(HOSTILE)):
        seen.page.goto(f"{files}record.html#lamp/hostile-{number}")
        seen.page.reload()
        seen.page.wait_for_selector(".sg-facts")
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= PHONE, number
    for words in ("hacked", "script", "长长长", "evil"):
        seen.page.goto(f"{files}find.html?q={words}")
        seen.page.wait_for_selector("#sg-found li")
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= PHONE, words
    assert seen.page.evaluate("window.hacked") is None
    assert seen.page.locator("#sg-found img, #sg-found script").count() == 0
    assert seen.errors == []
    assert seen.elsewhere() == []
    seen.page.close()


def test_missing_parts_and_records_are_named(browser: Browser, files: str) -> None:
    """A part that does not come, one of another edition, an address of nothing: said in words, with a way on."""
    page = browser.new_page()
    page.goto(files + "record.html#lamp/nothing")
    page.wait_for_function("document.querySelector('#sg-record-status').textContent.startsWith('没有这条记录')")
    page.route("**/find/t/*", lambda route: route.abort())
    page.goto(files + "find.html?q=灯")
    page.wait_for_function("document.querySelector('#sg-found-status').textContent.includes('没有取到')")
    page.unroute("**/find/t/*")
    page.route("**/find/t/*", lambda route: route.fulfill(body='syncgovPart("old","t/0",[])'))
    page.goto(files + "find.html?q=桥")
    page.wait_for_function("document.querySelector('#sg-found-status').textContent.includes('刚刚更新')")
    page.close()


def test_without_scripts_the_lists_are_offered(browser: Browser, files: str) -> None:
    """The form leads to a page that says so and links the lists."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(files + "index.html")
    page.fill("#sg-find-words", "灯")
    page.keyboard.press("Enter")
    page.wait_for_url("**/find.html?q=*")
    page.wait_for_selector("article a[href='index.html']")
    context.close()


def test_the_browser_splits_words_as_the_index_does(browser: Browser, files: str) -> None:
    """Same folding, tokens, phrases and file numbers as in Python and in Datasette's plugin, hostile texts included."""
    texts = [*TEXTS, *HOSTILE, "Ｃａｆé Über ﬁ ① ｶﾞｽ 한글 々〇 𠮷𪚥x", "A_b-c's", "İstanbul ΣΑΣ", ""]
    page = browser.new_page()
    page.goto(files + "find.html")
    assert page.evaluate("t => t.map(syncgovFind.fold)", texts) == [fold(text) for text in texts]
    spread = page.evaluate("t => t.map(syncgovFind.spread)", texts)
    assert [each.split() for each in spread] == [_tokens(text) for text in texts]
    phrases = page.evaluate("t => t.map(x => syncgovFind.parse(x).phrases)", texts[: len(TEXTS)])
    expected = [re.findall(r'"([^"]*)"(\*?)', PLUGIN.zh_fts(text)) for text in TEXTS]
    assert phrases == [[f" {fold(said)}{'' if star else ' '}" for said, star in each] for each in expected]
    assert page.evaluate("syncgovFind.root") == files
    places = page.evaluate("t => t.map(x => syncgovFind.shardOf(x, 256))", texts)
    assert places == [shard_of(text, 256) for text in texts]
    assert len(set(places)) > len(texts) // 2
    page.close()


def _tokens(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", fold(index_text(fold(text))))


def test_the_scripts_are_plain_enough_for_old_browsers() -> None:
    """No syntax that Chromium 64 does not know."""
    static = Path(build.__code__.co_filename).parent / "static"
    for name in ("find-core.js", "find.js", "record.js", "type.js", "keys.js"):
        source = re.sub(r"//.*", "", (static / name).read_text(encoding="utf-8"))
        assert not re.findall(r"\?\.|\?\?|\.replaceAll\(|\.at\(|replaceChildren|\.flat\(|\bcatch \{|\(\?<", source), (
            name
        )
