"""The published folder behind Datasette: search, evidence, labels, and what it refuses to do."""

import asyncio
import json
import re
import subprocess
import sys
from typing import Any
from urllib.parse import quote

import pytest
import requests
from bs4 import BeautifulSoup

from syncgov.core.record_proof import verify_record_proof
from syncgov.errors import StorageError
from syncgov.publish.browse import browse, make_datasette
from tests.publish.place import ODD_KEY, Place


@pytest.fixture(scope="session")
def served(place: Place) -> Any:
    """Datasette over the published folder."""
    return make_datasette(place.out)


def get(served: Any, path: str) -> Any:
    """Answer a request in this process."""
    return asyncio.run(served.client.get(path))


def rows(served: Any, path: str) -> list[dict[str, Any]]:
    """Return the rows of a JSON answer."""
    answer = get(served, path)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("光伏", 1),
        ("灯", 2),
        ("灯泡", 1),
        ("路灯不亮", 1),
        ("2+2", 1),
        ("没有这个词", 0),
        ("xyzzy", 0),
        ("，", 0),
        ("13912345678", 0),
    ],
)
def test_the_search_box_is_exact(served: Any, words: str, count: int) -> None:
    """Two-character words are found, nonsense finds nothing, withheld texts are not in the index."""
    assert len(rows(served, f"/public/lamp.json?_shape=array&_search={quote(words)}")) == count
    assert len(rows(served, f"/public/search_lamp.json?_shape=array&q={quote(words)}")) == count


def test_every_table_and_query_answers(served: Any, place: Place) -> None:
    """Also each figure's query, which gives the published number."""
    described = json.loads((place.out / "metadata.json").read_text(encoding="utf-8"))["databases"]["public"]
    assert set(described["queries"]) >= {"figure_lamps", "figure_lamps_done", "search_lamp", "verdicts", "row_history"}
    assert "by_category" not in described["queries"]
    for name in [*described["tables"], *described["queries"]]:
        assert get(served, f"/public/{name}").status_code == 200, name
    assert rows(served, "/public/figure_lamps_done.json?_shape=array") == [{"n": 1, "d": 3}]


def test_the_evidence_link_of_every_row_works(served: Any, place: Place) -> None:
    """From the table's HTML to a file that proves the row."""
    links = []
    for table in ("lamp", "crew", "device"):
        page = BeautifulSoup(get(served, f"/public/{table}").text, "html.parser")
        links += [str(a["href"]) for a in page.find_all("a") if a.text == "签名证据"]
    assert len(links) == 3 + 2 + 2
    for link in links:
        answer = get(served, link)
        assert answer.status_code == 200, link
        verify_record_proof(answer.content, None)


def test_cells_are_readable(served: Any, place: Place) -> None:
    """Labels, lists, money, references, what is withheld; hostile text stays text."""
    page = BeautifulSoup(get(served, f"/public/lamp/{place.keys[0]}").text, "html.parser")
    shown = {cell["class"][0]: cell for cell in page.select("table.rows-and-columns td")}
    assert shown["col-kind"].text.strip() == "灯泡"
    assert [item.text for item in shown["col-parts"].find_all("li")] == ["灯泡", "=2+2"]
    assert shown["col-cost"].text.strip() == "123.45 元"
    withheld = BeautifulSoup(get(served, f"/public/lamp/{place.keys[2]}").text, "html.parser")
    assert withheld.select_one("td.col-words").text.strip() == "不予公开"  # type: ignore[union-attr]
    crew = get(served, "/public/crew").text
    assert "甲/乙 ~%2F..&lt;b&gt;" in crew
    assert ODD_KEY not in crew
    assert '<html lang="zh-CN">' in crew


def test_columns_have_labels(served: Any) -> None:
    """Descriptions of columns come from the register."""
    page = get(served, "/public/lamp").text
    assert "公开说明" in page
    assert "费用（分）" in page
    assert "用料" in page


@pytest.mark.parametrize(
    "path",
    ["/public?sql=select+1", "/public.json?sql=select+1", "/public/lamp.json?_where=1=1", "/public.db"],
)
def test_nobody_runs_their_own_sql(served: Any, path: str) -> None:
    """Arbitrary SQL is a denial of service; the whole file is downloaded from a web server instead."""
    assert get(served, path).status_code in (403, 404)


@pytest.mark.parametrize(
    "path",
    ["/log/../public.db", "/log/%2e%2e/public.db", "/data/../../centre/central.db", "/portal/../metadata.json"],
)
def test_static_folders_end_where_they_end(served: Any, path: str) -> None:
    """No way up."""
    assert get(served, path).status_code in (403, 404)


def test_a_query_with_a_huge_value_is_refused(served: Any) -> None:
    """One value may take five megabytes, not five gigabytes."""

    async def run() -> None:
        with pytest.raises(Exception, match="too big"):
            await served.get_database("public").execute("SELECT length(hex(zeroblob(450000000)))")

    asyncio.run(run())


def test_browse_serves_everything_and_says_when(place: Place) -> None:
    """One process: Datasette, static files, the redirect to the portal; it prints nothing and ends quietly."""
    program = (
        "import sys; from pathlib import Path; from syncgov.publish.browse import browse; "
        f"browse(Path({str(place.out)!r}), 0, ready=lambda port: print(port, flush=True))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            url = f"http://127.0.0.1:{int(process.stdout.readline())}"
            session = requests.Session()
            session.trust_env = False
            for path in ("/", "/public/lamp", "/log/checkpoint", "/data/datapackage.json"):
                assert session.get(url + path, timeout=20).status_code == 200, path
            answer = session.get(f"{url}/portal/", timeout=20, allow_redirects=False)
            assert (answer.status_code, answer.headers["location"]) == (302, "/portal/index.html")
            session.close()
        finally:
            process.terminate()
            rest = process.stdout.read(), process.stderr.read()
    assert rest == ("", "")


def test_browse_wants_a_published_folder(tmp_path: Any) -> None:
    """And says so."""
    with pytest.raises(StorageError, match="not a published folder"):
        browse(tmp_path)


def test_no_page_names_another_host(served: Any) -> None:
    """Nothing is fetched from elsewhere; links that a person may follow are not meant."""
    for path in ("/", "/public", "/public/lamp"):
        page = BeautifulSoup(get(served, path).text, "html.parser")
        sources = [str(tag.get("src") or tag.get("href") or "") for tag in page.find_all(["script", "link", "img"])]
        assert not [source for source in sources if re.match(r"(https?:)?//(?!localhost)", source)]
