"""`python -m portal.print_sheets PUBLIC_DB OUT_FOLDER`: sheets of a month, as HTML and, by a browser, PDF."""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from portal import fonts, sheets
from portal.errors import PortalError
from portal.site import Site
from portal.source import open_source

STORAGE = 74  # exit code when a file cannot be written
BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "microsoft-edge",
)
PATIENCE_S = 120  # for one page; a browser that waits for a display never ends


def print_sheets(site: Site, out: Path, month: str, community: str, paper: str) -> list[Path]:
    """Write the sheets of *month* and return their paths.

    Args:
        month: YYYY-MM; "": the newest with figures. community: its code; "": all.

    Raises:
        PortalError: a month or a community that is not published.
    """
    known = sheets.months(site)
    month = month or (known[-1] if known else "")
    if month not in known:
        told = "、".join(known) or "没有"
        raise PortalError(
            f"没有 {month} 的数字；有的月份：{told}", f"no figures of {month}; there are: {', '.join(known)}"
        )
    if community and community not in site.communities:
        told = "、".join(f"{code} {name}" for code, name in site.communities.items())
        raise PortalError(f"没有社区 {community}；有：{told}", f"no community {community}; there are: {told}")
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for code in [community] if community else list(site.communities):
        target = out / sheets.sheet_path(site, code, month).rpartition("/")[2]
        target.write_text(sheets.sheet(site, code, month, paper), encoding="utf-8")
        written.append(target)
    return written


def find_browser() -> str:
    """Return the path of a browser that prints; PortalError without one."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise PortalError(
            "没有找到能生成 PDF 的浏览器（Chromium、Chrome 或 Edge）；HTML 已写好，请用任何浏览器打开后打印",
            "no browser that makes PDF (Chromium, Chrome, Edge); the HTML is written: open it in any browser and print",
        )
    return found


def make_pdf(page: Path, browser: str) -> Path:
    """Write the PDF beside *page* and return its path.

    Raises:
        PortalError: the browser failed.
    """
    target = page.with_suffix(".pdf")
    with tempfile.TemporaryDirectory(prefix="syncgov-print.") as profile:
        command = [
            browser, "--headless", "--disable-gpu", "--no-sandbox", "--no-first-run", "--no-pdf-header-footer",
            f"--user-data-dir={profile}", f"--print-to-pdf={target.absolute()}", page.absolute().as_uri(),
        ]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=PATIENCE_S, check=False
        )
    if done.returncode or not target.is_file():
        said = done.stderr.strip()[-500:]
        raise PortalError(f"浏览器没有生成 {target}：{said}", f"the browser did not make {target}: {said}")
    return target


def _pdfs(written: Sequence[Path]) -> Iterator[Path]:
    """Make the PDF of each page and yield its path; what has no font is said on standard error."""
    browser = find_browser()
    fonts.require_chinese_font()
    for page in written:
        if signs := fonts.missing_signs(page.read_text(encoding="utf-8")):
            print(*fonts.missing_words(page.name, signs), sep="\n", file=sys.stderr)
        yield make_pdf(page, browser)


def _month(given: str) -> str:
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", given):
        raise argparse.ArgumentTypeError(f"{given}：月份写成 2026-10")
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the sheets, print the paths of what was written, return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m portal.print_sheets", description="打印公示栏")
    parser.add_argument("public_db", type=Path, metavar="PUBLIC_DB")
    parser.add_argument("out", type=Path, metavar="OUT_FOLDER")
    parser.add_argument("--month", type=_month, help="哪个月，如 2026-10；默认最近一个月")
    parser.add_argument("--community", default="", help="社区代码；默认全部社区")
    parser.add_argument("--paper", choices=sorted(sheets.PAPERS), default="A4")
    parser.add_argument("--address", default="", help="网站的网址，印成二维码")
    parser.add_argument("--pdf", action="store_true", help="再生成 PDF")
    given = parser.parse_args(arguments)
    try:
        with open_source(given.public_db) as source:
            site = Site(source, address=given.address)
            written = print_sheets(site, given.out, given.month or "", given.community, given.paper)
        print(*written, sep="\n")
        if given.pdf:
            print(*_pdfs(written), sep="\n")
    except PortalError as error:
        print(error.zh, error, sep="\n", file=sys.stderr)
        return error.exit_code
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"写不了公示栏：{error}", f"cannot write the sheets: {error}", sep="\n", file=sys.stderr)
        return STORAGE
    return 0


if __name__ == "__main__":
    sys.exit(main())
