"""The helper that looks for barriers sees them, names them, and does not take an empty look for a clean page."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.browser.axe import serious, violations

pytestmark = pytest.mark.browser

GOOD = (
    '<!doctype html><html lang="zh-CN"><title>公开</title><main><h1>公开</h1><img alt="灯" src="data:,"></main></html>'
)


def test_a_page_without_fault_and_one_with_faults(browser: Browser) -> None:
    """A picture without words and a page without language are found where they are; the page with both is clean."""
    page = browser.new_page()
    page.set_content(GOOD)
    assert violations(page) == []
    page.set_content(GOOD.replace(' alt="灯"', "").replace(' lang="zh-CN"', ""))
    found = {each.rule: each for each in violations(page)}
    assert set(found) == {"html-has-lang", "image-alt"}
    assert (found["image-alt"].impact, found["image-alt"].places) == ("critical", ("img",))
    assert {each.rule for each in serious(page)} == set(found)
    page.set_content(GOOD.replace("<h1>", "<p>").replace("</h1>", "</p>"))
    assert [each.impact for each in violations(page)] == ["moderate"]
    assert serious(page) == []
    page.close()


def test_nothing_looked_at_is_not_clean(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer without a single rule is an error."""
    empty = type("Empty", (), {"response": {"passes": [], "violations": []}})()
    monkeypatch.setattr(Axe, "run", lambda self, page, options: empty)
    page = browser.new_page()
    with pytest.raises(RuntimeError, match="nothing"):
        violations(page)
    page.close()
