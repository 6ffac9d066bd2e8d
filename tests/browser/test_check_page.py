"""The page that checks one record in the reader's browser: it agrees with `syncgov verify`, and never guesses."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from portal.build import build
from syncgov.audit.prove import require_version
from syncgov.core.charter import open_charter
from syncgov.core.record_proof import verify_record_proof
from syncgov.errors import SyncgovError, VersionError
from tests.browser.browsing import opened
from tests.portal.public_db import make_public_db

pytestmark = pytest.mark.browser

_FILE = Path(__file__).parents[1] / "vectors" / "proof_file.json"
VECTORS = json.loads(_FILE.read_text(encoding="utf-8"))["vectors"]
VALID = next(each for each in VECTORS if each["expect"] == "ok")
WITHOUT_WEBCRYPTO = "Object.defineProperty(window.crypto, 'subtle', {value: undefined})"
WITHOUT_ED25519 = """const take = crypto.subtle.importKey.bind(crypto.subtle);
crypto.subtle.importKey = (format, key, kind, ...rest) =>
    kind.name === 'Ed25519' ? Promise.reject(new Error('unknown algorithm')) : take(format, key, kind, ...rest);
"""
CHECK = """async (text) => {
    try { await syncgovProof.verifyProof(new TextEncoder().encode(text)); return 'valid' }
    catch (error) {
        if (error instanceof syncgovProof.Unable && error.message.includes('本页只认第 1 版')) return 'version';
        return error instanceof syncgovProof.Wrong ? 'wrong' : String(error);
    }
}"""


def valid() -> str:
    """Return the proof file of the vectors."""
    return str(VALID["proof"])


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published folder with the portal and a proof file."""
    folder = tmp_path_factory.mktemp("published")
    build(make_public_db(folder / "public.db"), folder / "portal")
    proofs = folder / "log" / "proofs" / "errand"
    proofs.mkdir(parents=True)
    (proofs / "BS-01.json").write_text(valid(), encoding="utf-8")
    (folder / "charter.json").write_text(VALID["charter"], encoding="utf-8")
    (folder / "changed.json").write_text(valid().replace("路灯不亮", "路灯已修"), encoding="utf-8")
    return folder


def verdict(page: Page) -> str:
    """Wait for the verdict and return its title."""
    page.wait_for_selector("#sg-check-result:not([hidden]):not(.sg-verdict--busy)")
    return page.locator("#sg-check-result h2").inner_text()


def test_a_link_on_a_record_checks_it(browser: Browser, address: str) -> None:
    """Online: one click on the record's page, and the values, times and limits are shown."""
    seen = opened(browser, address.removesuffix("portal/"), 390)
    seen.page.goto(address + "r/errand/k-BS-01.html")
    seen.page.click(".sg-check-link")
    assert verdict(seen.page) == "核对通过"
    said = seen.page.locator("#sg-check-result").inner_text()
    for words in ("路灯不亮", "不能证明内容属实", "没有另外提供章程", "根密钥编号"):
        assert words in said
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
    caption = seen.page.locator("caption").bounding_box()
    assert caption is not None
    assert caption["width"] > 200  # of a table that is cards on a phone; else it has a letter a line
    assert seen.elsewhere() == []
    assert seen.errors == []
    seen.page.close()


@pytest.mark.parametrize("script", ["", WITHOUT_WEBCRYPTO, WITHOUT_ED25519])
def test_a_file_from_a_usb_stick_is_checked(browser: Browser, published: Path, script: str) -> None:
    """From file://, with the browser's own Ed25519, without it, without WebCrypto at all; with one's own charter."""
    base = (published / "portal").as_uri() + "/"
    seen = opened(browser, base, 1280)
    if script:
        seen.page.add_init_script(script)
    seen.page.goto(base + "check.html")
    seen.page.set_input_files("#sg-check-charter", published / "charter.json")
    seen.page.set_input_files("#sg-check-file", published / "log/proofs/errand/BS-01.json")
    assert verdict(seen.page) == "核对通过"
    assert "没有另外提供章程" not in seen.page.locator("#sg-check-result").inner_text()
    seen.page.set_input_files("#sg-check-file", published / "changed.json")
    seen.page.wait_for_selector(".sg-verdict--wrong")
    assert verdict(seen.page) == "核对不通过"
    assert seen.elsewhere() == []
    seen.page.close()


def test_another_charter_is_no_match(browser: Browser, address: str, published: Path, tmp_path: Path) -> None:
    """Who brings his own charter is told when the file belongs to another."""
    other = json.loads((published / "charter.json").read_text(encoding="utf-8"))
    other["signatures"] = other["signatures"] * 2
    (tmp_path / "other.json").write_text(json.dumps(other, separators=(",", ":")), encoding="utf-8")
    page = browser.new_page()
    page.goto(address + "check.html")
    page.set_input_files("#sg-check-charter", tmp_path / "other.json")
    page.set_input_files("#sg-check-file", published / "log/proofs/errand/BS-01.json")
    assert verdict(page) == "核对不通过"
    page.close()


def test_what_cannot_be_checked_is_not_called_valid(browser: Browser, address: str, published: Path) -> None:
    """No cryptography at all, a file that is not there, another host, a page opened as a file: not checked."""
    page = browser.new_page()
    page.add_init_script(WITHOUT_WEBCRYPTO)
    page.route("**/noble.js", lambda route: route.abort())
    page.goto(address + "check.html#../log/proofs/errand/BS-01.json")
    assert verdict(page) == "没有核对成"
    page.close()
    page = browser.new_page()
    base = (published / "portal").as_uri() + "/"
    for target in (f"{address}check.html#../nothing.json", f"{address}check.html#https://other.example/x.json",
                   f"{base}check.html#../log/proofs/errand/BS-01.json"):  # fmt: skip
        page.goto("about:blank")
        page.goto(target)
        assert verdict(page) == "没有核对成", target
    page.close()


OLD = {
    "no digest of its own, and the substitute does not start": f"{WITHOUT_ED25519}; delete Object.hasOwn",
    "files cannot be read": "delete Blob.prototype.arrayBuffer",
}


@pytest.mark.parametrize("script", OLD.values(), ids=OLD)
def test_an_old_browser_is_told(browser: Browser, address: str, published: Path, script: str) -> None:
    """What the page needs and the browser lacks: nothing was checked, and the page says so."""
    page = browser.new_page()
    page.add_init_script(script)
    page.goto(address + "check.html")
    page.set_input_files("#sg-check-file", published / "log/proofs/errand/BS-01.json")
    assert verdict(page) == "没有核对成"
    page.close()


def test_a_page_whose_scripts_do_not_start_says_so(browser: Browser, address: str) -> None:
    """Of a browser that cannot even read them; where they start, the sentence never shows."""
    page = browser.new_page()
    for name, script in (("check", "proof.js"), ("find", "find-core.js"), ("record", "find-core.js")):
        page.goto(f"{address}{name}.html")
        page.wait_for_selector("#sg-unready", state="hidden")
        page.route(f"**/{script}", lambda route: route.fulfill(body="catch {", content_type="text/javascript"))
        page.reload()
        page.wait_for_selector("#sg-unready", state="visible")
        assert page.locator("#sg-check").is_hidden() if name == "check" else True
        page.unroute(f"**/{script}")
    page.close()


def test_the_page_agrees_with_the_command(browser: Browser, address: str) -> None:
    """Every vector, and the valid file with one character changed at each of many places: the same verdict."""
    texts = [str(each["proof"]) for each in VECTORS]
    whole = valid()
    places = [match.start() for match in re.finditer("[0-9A-Za-z]", whole)][::29]
    texts += [f"{whole[:at]}{'b' if whole[at] != 'b' else 'c'}{whole[at + 1 :]}" for at in places]
    texts += [whole + " ", whole.replace(":", ": ", 1), whole[:-1], ""]
    page = browser.new_page()
    page.goto(address + "check.html")
    verdicts = [page.evaluate(CHECK, text) for text in texts]
    page.close()
    assert verdicts == [_python(text) for text in texts]
    assert verdicts.count("valid") >= 1
    assert verdicts.count("wrong") > 100


def _python(text: str) -> str:
    try:
        require_version(text.encode(), "proof.json")
        verify_record_proof(text.encode(), None)
    except VersionError:
        return "version"
    except SyncgovError:
        return "wrong"
    return "valid"


def test_the_vector_is_a_proof() -> None:
    """What the tests above call valid is so for the command, with its charter."""
    assert verify_record_proof(valid().encode(), open_charter(VALID["charter"].encode())).fields
