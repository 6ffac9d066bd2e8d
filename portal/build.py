"""`python -m portal.build PUBLIC_DB OUT_SITE`: from public.db to a static site that asks nothing of any other host."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from portal import calendars, feeds, find, maps, not_found, pages, sheets, text
from portal.errors import PortalError
from portal.markup import Page
from portal.site import Site
from portal.source import open_source

HERE = Path(__file__).resolve().parent
STORAGE = 74  # exit code when a file cannot be written
NAV_LIMIT = 8  # registers in the menus; the home page links all of them

# A tag that makes a browser fetch something, with an address on another host.
_LOADS = re.compile(
    r"<(?:script|link|img|iframe|source|video|audio|embed|object|track|input|form)\b[^>]*?"
    r"\s(?:src|href|srcset|data|action|poster)\s*=\s*[\"']?\s*(?:https?:)?//[^\s\"'>]+",
    re.IGNORECASE,
)
_CSS_LOADS = re.compile(r"(?:url\(|@import)\s*[\"']?\s*(?:https?:)?//[^\s\"')]+", re.IGNORECASE)
# The theme's script names helpers there for diagrams and very old browsers; neither may be fetched.
_ELSEWHERE = "https://unpkg.com/"
_NOWHERE = "assets/not-fetched/"
# Beside every address that a page names as its alternate, a feed too, the theme's script would ask for a sitemap.
_ALTERNATES, _NO_ALTERNATES = "link[rel=alternate]", "link[rel=none]"


def build(public_db: Path, out_site: Path, datasette_url: str = "../", address: str = "") -> None:
    """Build the portal into *out_site*, replacing what is there only when everything succeeded.

    Args:
        datasette_url: address of the Datasette that serves public.db, relative to the portal or http(s); '' for none.
        address: http(s) address of the portal, for the QR codes of printed sheets; '' where it is not known.

    Raises:
        PortalError: public.db is not usable, MkDocs refused a page, or a page would load from another host.
    """
    out_site = out_site.absolute()
    out_site.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out_site.name}.", dir=out_site.parent) as scratch:
        work = Path(scratch)
        with open_source(public_db) as source:
            site = Site(source, datasette_url, address)
            write_docs(work / "docs", pages.generate(site))
            write_feeds(work / "docs", feeds.feeds(site))
            write_sheets(work / "docs", site)
            config = site_config(site, work)
            missing = not_found.not_found(site)
            find.write_index(site, pages.others(site), HERE / "content", work / find.FOLDER)
        (work / "mkdocs.yml").write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False), encoding="utf-8")
        _run_mkdocs(work, site.meta.get("as_of", ""))
        os.replace(work / find.FOLDER, work / "site" / find.FOLDER)  # MkDocs need not copy thousands of files
        finish(work / "site")
        (work / "site" / "404.html").write_text(missing, encoding="utf-8")
        _swap(work / "site", out_site, work / "old")


def write_docs(docs: Path, generated: Iterable[Page]) -> None:
    """Write the hand-written content, the static files and the generated pages into *docs*."""
    shutil.copytree(HERE / "content", docs)
    shutil.copytree(HERE / "static", docs / "static")
    for page in generated:
        target = docs / page.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page.markdown(), encoding="utf-8")


def write_feeds(docs: Path, found: Iterable[tuple[str, bytes]]) -> None:
    """Write the feeds into *docs*; MkDocs copies what is no Markdown as it is."""
    for path, data in found:
        (docs / path).parent.mkdir(parents=True, exist_ok=True)
        (docs / path).write_bytes(data)


def write_sheets(docs: Path, site: Site) -> None:
    """Write the notice-board sheets, which are whole pages already; MkDocs only copies them."""
    for path, html in sheets.site_sheets(site):
        target = docs / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(html, encoding="utf-8")


def site_config(site: Site, work: Path) -> dict[str, Any]:
    """Return mkdocs.yml with this site's name, folders and menus."""
    config: dict[str, Any] = yaml.safe_load(_template().read_text(encoding="utf-8"))
    simulated = site.meta.get("simulated") == "1"
    config |= {
        "site_name": text.plain_title(pages.name(site)),
        "docs_dir": str(work / "docs"),
        "site_dir": str(work / "site"),
        "copyright": f"{text.esc(site.as_of)}。" + ("演示数据。" if simulated else ""),
    }
    config["theme"]["custom_dir"] = str(HERE / "overrides")
    config["extra"]["notice"] = pages.SIMULATED if simulated else ""
    config["extra"]["notice_en"] = pages.SIMULATED_EN
    first, *rest = config["nav"]
    config["nav"] = [first, *_menus(site), *rest]
    return config


def _template() -> Path:
    """Return mkdocs.yml: beside this module when installed, at the top of a checkout."""
    installed = HERE / "mkdocs.yml"
    return installed if installed.is_file() else HERE.parent / "mkdocs.yml"


def _menus(site: Site) -> list[dict[str, Any]]:
    """Return the generated part of `nav`: communities, registers, the record about the record."""
    registers = [{text.plain_title(item.layout.nav): f"{site.list_path(item)}.md"} for item in site.listed[:NAV_LIMIT]]
    data = [*([{"地图": f"{maps.PATH}.md"}] if maps.mapped(site) else []), {"最新变化": "news.md"}]
    data += [*([{"公开日历": "calendar.md"}] if calendars.registers(site) else [])]
    data += [{"数字怎么算": "figures.md"}, {"数据与冲突": "data.md"}, {"不予公开的内容": "withheld.md"}]
    data += [{"数据怎么用": "reuse.md"}]
    return [{"社区": "community/index.md"}, *registers, {"数据": data}]


def _run_mkdocs(work: Path, as_of: str) -> None:
    """Run MkDocs in a process of its own, where its logging and warnings touch nobody.

    The two switches silence advertisements of the theme and its forks; the epoch makes two builds alike.
    """
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true", "PYTHONUTF8": "1"}
    environment["SOURCE_DATE_EPOCH"] = str(_epoch(as_of))
    command = [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        [*command, "--config-file", str(work / "mkdocs.yml")],
        env=environment, cwd=work, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-2_000:]
        raise PortalError(f"MkDocs 没有建成网站：\n{said}", f"mkdocs failed:\n{said}")


def _epoch(as_of: str) -> int:
    try:
        return int(datetime.fromisoformat(as_of).timestamp())
    except ValueError:
        return 0


def finish(site: Path) -> None:
    """Remove what a site of unknown address cannot have, and make sure that no page loads from another host.

    Raises:
        PortalError: a page or style sheet that does.
    """
    for name in ("sitemap.xml", "sitemap.xml.gz", "404.html"):  # the theme's: all three need the absolute address
        (site / name).unlink(missing_ok=True)
    for script in (site / "assets").rglob("*.js"):  # the theme's
        code = script.read_text(encoding="utf-8")
        quiet = code.replace(_ELSEWHERE, _NOWHERE).replace(_ALTERNATES, _NO_ALTERNATES)
        if quiet != code:
            script.write_text(quiet, encoding="utf-8")
    for trace in site.rglob("*.map"):  # maps of minified files: nobody reads them here, and they are half the weight
        trace.unlink()
    found = loads_from_elsewhere(site)
    if found:
        raise PortalError(f"页面会从别的主机加载内容：{found[0]}", f"a page loads from another host: {found[0]}")


def loads_from_elsewhere(site: Path) -> list[str]:
    """Return each place where a page or style sheet of *site* would load from another host."""
    found = []
    for suffix, pattern in ((".html", _LOADS), (".css", _CSS_LOADS)):
        for path in sorted(site.rglob(f"*{suffix}")):
            matches = pattern.finditer(path.read_text(encoding="utf-8"))
            found += [f"{path.relative_to(site)}: {match.group()[:200]}" for match in matches]
    return found


def _swap(new: Path, out_site: Path, old: Path) -> None:
    """Put *new* in the place of *out_site*; readers see the old site or the new one."""
    if out_site.exists():
        os.replace(out_site, old)
    try:
        os.replace(new, out_site)
    except OSError:
        if old.exists():
            os.replace(old, out_site)
        raise


def main(arguments: Sequence[str] | None = None) -> int:
    """Build from the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m portal.build", description="把公开库做成静态网站")
    parser.add_argument("public_db", type=Path, metavar="PUBLIC_DB")
    parser.add_argument("out_site", type=Path, metavar="OUT_SITE")
    parser.add_argument("--datasette-url", default="../", help="Datasette 的地址；不提供查询服务时写空串")
    parser.add_argument("--address", default="", help="网站的网址，印在公示栏的二维码里")
    given = parser.parse_args(arguments)
    try:
        build(given.public_db, given.out_site, given.datasette_url, given.address)
    except PortalError as error:
        print(error.zh, error, sep="\n", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"写不了网站文件：{error}", f"cannot write the site: {error}", sep="\n", file=sys.stderr)
        return STORAGE
    return 0


if __name__ == "__main__":
    sys.exit(main())
