"""What one visitor can do to the public server: nothing that the next one notices. The server is `syncgov browse`."""

import json
import re
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from tests.publish.place import Place
from tests.publish.serving import browsing

PATIENCE_S = 10.0  # for one answer on a busy machine; a query may take 0.8 s, a page of a table makes a few
GROWTH_BYTES = 150_000_000  # of the server, over all hostile requests together
ANSWER_BYTES = 2_000_000
ROWS = 20_000
REFUSED = (400, 403, 404, 405, 414)
BOMBS = (
    "hex(zeroblob(450000000))",
    "' UNION SELECT hex(zeroblob(450000000)) --",
    "'; ATTACH '/tmp/x' AS x; --",
    '"' * 90,
    "*" * 90,
    "NEAR(a b) OR NOT ^c : {d}",
    "鮑 " * 30,
    "x" * 99,
    "\U0010ffff\u202e",
)


@dataclass
class Server:
    """A running `syncgov browse`."""

    url: str
    pid: int
    session: requests.Session = field(default_factory=requests.Session)

    def memory(self) -> int:
        """Return the most memory that the process ever held, in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])

    def ask(self, path: str, method: str = "GET") -> requests.Response:
        """Return an answer; it comes in time and is short."""
        begun = time.monotonic()
        answer = self.session.request(method, self.url + path, timeout=PATIENCE_S, allow_redirects=False)
        assert time.monotonic() - begun < PATIENCE_S, path[:200]
        assert len(answer.content) < ANSWER_BYTES, path[:200]
        return answer


@pytest.fixture(scope="module")
def server(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server over a folder with enough rows, and one long text, for a scan to take a while."""
    out = tmp_path_factory.mktemp("hostile")
    for name in ("portal", "log", "data"):
        (out / name).mkdir()
    for name in ("metadata.json", "public.db"):
        (out / name).write_bytes((place.out / name).read_bytes())
    with closing(sqlite3.connect(out / "public.db")) as conn:
        words = [f"k{n:06d}" for n in range(ROWS)]
        conn.executemany("INSERT INTO lamp (key, words, state) VALUES (?, ?, 'fresh')", [(k, k * 20) for k in words])
        conn.execute("UPDATE lamp SET words = ? WHERE key = 'k000000'", ("e" * 60_000,))
        conn.commit()
    with browsing(out) as running:
        found = Server(running.url, running.pid)
        found.session.trust_env = False
        assert found.ask("/public/lamp").status_code == 200
        yield found
        found.session.close()
    assert not re.search("Traceback|Internal", running.complaints.read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def unharmed(server: Server) -> Iterator[None]:
    """After each test: the memory did not grow out of bounds, and an ordinary request is answered."""
    before = server.memory()
    yield
    assert server.memory() - before < GROWTH_BYTES
    answer = server.ask("/public/lamp.json?_shape=array&_size=1&_search=" + quote("灯泡"))
    assert (answer.status_code, len(answer.json())) == (200, 1)


def test_no_parameter_of_a_query_is_a_bomb(server: Server, place: Place) -> None:
    """Whatever is written into the conditions of the ready queries is a value, not SQL; nothing is found by it."""
    queries = json.loads((place.out / "metadata.json").read_text(encoding="utf-8"))["databases"]["public"]["queries"]
    asked = [(name, parameter) for name, query in queries.items() for parameter in query.get("params", ())]
    assert len(asked) >= 4
    for name, parameter in asked:
        for bomb in BOMBS:
            answer = server.ask(f"/public/{name}.json?_shape=array&{parameter}={quote(bomb)}")
            assert (answer.status_code, answer.json()) == (200, []), (name, bomb)
        assert server.ask(f"/public/{name}?{parameter}={'x' * 501}").status_code == 400
        assert server.ask(f"/public/{name}?{parameter}=%00").status_code == 400


@pytest.mark.parametrize(
    "sql",
    [
        "select hex(zeroblob(450000000))",
        "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n",
        "attach database '/tmp/stolen.db' as stolen",
        "pragma database_list",
        "select load_extension('/tmp/evil')",
        "select randomblob(4000000) from lamp",
    ],
)
def test_nobody_runs_sql(server: Server, sql: str) -> None:
    """By none of the ways that Datasette knows."""
    for path in (
        "/public?sql=",
        "/public.json?sql=",
        "/public.csv?sql=",
        "/public/lamp?_where=",
        "/public/lamp.csv?_where=",
    ):
        assert server.ask(path + quote(sql)).status_code == 403, path


@pytest.mark.parametrize("operator", ["glob", "like", "notlike", "contains", "startswith", "endswith"])
def test_a_pattern_is_refused(server: Server, operator: str) -> None:
    """However it is written: typed into an address or chosen in the form, by its name or hidden in a part of a text."""
    for wild in ("*e" * 10 + "x", "%e" * 10 + "x"):
        if operator in ("glob", "like", "notlike") or "%" in wild:
            assert server.ask(f"/public/lamp?words__{operator}={quote(wild)}").status_code == 400
            chosen = f"_filter_column=words&_filter_op={operator}&_filter_value={quote(wild)}"
            answer = server.ask(f"/public/lamp?{chosen}")
            assert answer.status_code == 302
            assert server.ask(answer.headers["location"]).status_code == 400


def test_a_scan_of_a_whole_table_ends(server: Server) -> None:
    """Conditions that no index helps: answered, or stopped by the time limit."""
    for condition in ("words__contains=zzz", "words__endswith=eee", "words__not=1", "words__in=" + "a," * 40):
        assert server.ask(f"/public/lamp?{condition}").status_code in (200, 400)
    many = "&".join(f"words__contains={number}z" for number in range(29))
    assert server.ask(f"/public/lamp?{many}").status_code in (200, 400)
    assert server.ask(f"/public/lamp?{many}&a=1&b=2").status_code == 400
    assert server.ask("/public/lamp?_sort=cost").status_code in (200, 400)


@pytest.mark.parametrize(
    "condition",
    [
        "_size=100000000", "_size=-1", "_size=x", "_sort=nothing", "_sort=key&_sort_desc=key",
        "_next=%2C%2C%2C&_sort=key",
        "kind__in=%5B1,", "kind__in=%5B%5B1%5D%5D", "cost__gt=" + "9" * 30, "cost__gt=%C2%B2", "cost__nothing=1",
        "nothing=1", "_col=nothing", "words=%00", "%00=1", "_search=" + "x" * 101, "_search_nothing=1",
        "words__in=" + "a," * 60, "words=" + "x" * 501,
    ],
)  # fmt: skip
def test_a_condition_that_makes_no_sense_is_refused(server: Server, condition: str) -> None:
    """In a page, in JSON and in CSV: the visitor's mistake, never a fault of the server."""
    for ending in ("", ".json", ".csv"):
        assert server.ask(f"/public/lamp{ending}?{condition}").status_code == 400, ending


@pytest.mark.parametrize(
    "condition",
    [
        "_facet=words", "_facet_array=parts", "_facet_date=_created", "_facet_size=max", "_through=%7B%7D", "_trace=1",
        "_ttl=0", "_timelimit=999999", "_searchmode=raw&_search=%22", "_fts_table=leaf", "_fts_pk=key", "_context=1",
        "_extras=foreign_key_tables", "_nothing=1",
    ],
)  # fmt: skip
def test_what_nobody_needs_is_closed(server: Server, condition: str) -> None:
    """Facets, joins, traces, other limits and other search tables."""
    for path in ("/public/lamp", "/public/lamp.json", "/public/lamp.csv", "/public/search_lamp"):
        assert server.ask(f"{path}?{condition}").status_code == 403, path


def test_a_facet_on_every_column_is_refused(server: Server) -> None:
    """Also all at once."""
    columns = server.ask("/public/lamp.json?_size=1").json()["columns"]
    for column in columns:
        assert server.ask(f"/public/lamp.json?_facet={column}").status_code == 403
    assert server.ask("/public/lamp?" + "&".join(f"_facet={each}" for each in columns)).status_code == 403


def test_what_the_server_knows_of_itself_is_closed(server: Server) -> None:
    """Versions, paths of files, threads, settings, tools for developers; the style sheet is open."""
    names = (
        "versions plugins settings metadata threads databases actor config permissions messages allow-debug patterns"
    )
    for name in [*names.split(), "logout", "auth-token?token=x"]:
        assert server.ask(f"/-/{name}").status_code == 404, name
        assert server.ask(f"/-/{name.partition('?')[0]}.json").status_code == 404, name
    style = re.search(r'href="(/-/static-syncgov/[^"]+)"', server.ask("/public").text)
    assert style is not None
    answer = server.ask(style[1])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert "immutable" in answer.headers["cache-control"]


def test_huge_and_broken_addresses(server: Server) -> None:
    """100 kB, null bytes, another host's name in the path, a way up."""
    assert server.ask("/public/lamp?_search=" + "x" * 100_000).status_code in (400, 414, 431)
    assert server.ask("/" + "x" * 5000).status_code == 414
    for path in (
        "/public/lamp/%00",
        "/%00",
        "//elsewhere.example/",
        "//elsewhere.example/%2e%2e/",
        "/public/%2e%2e/x/y/z",
    ):
        answer = server.ask(path)
        assert answer.status_code in REFUSED or not answer.headers["location"].startswith("//"), path


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_it_is_only_read(server: Server, method: str) -> None:
    """Every other method is refused."""
    for path in ("/", "/public", "/public/lamp", "/public/search_lamp", "/data/lamp.csv"):
        answer = server.ask(path, method)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD"), path


def test_a_crowd_with_slow_questions_is_let_in_a_few_at_a_time(server: Server) -> None:
    """The others are told to come back; nobody waits for all of them."""

    def ask(number: int) -> int:
        answer = requests.get(f"{server.url}/public/lamp?words__contains={number}zz", timeout=60)
        return answer.status_code

    with ThreadPoolExecutor(90) as crowd:
        answers = list(crowd.map(ask, range(90)))
    assert set(answers) <= {200, 400, 503}
    assert answers.count(503) > 0
    assert answers.count(503) < len(answers)


def test_pages_carry_what_keeps_them_within_themselves(server: Server) -> None:
    """No script, nothing from elsewhere, no guessing of types, also on errors."""
    for path in ("/", "/public/lamp", "/public/nothing", "/public/lamp?_where=1"):
        headers = server.ask(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "script" not in headers["content-security-policy"]
    assert "<script" not in server.ask("/public/lamp").text
