"""The nginx example in front of the real server and a published folder: prefix, cache, limits, what is closed."""

import http.client
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
import requests
from bs4 import BeautifulSoup
from requests.adapters import HTTPAdapter

from tests.publish.place import Place
from tests.publish.serving import browsing

EXAMPLE = Path(__file__).parents[2] / "examples" / "nginx" / "syncgov.conf"
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
FRAME = """\
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    include {folder}/syncgov.conf;
}}
"""


class _From(HTTPAdapter):
    """Asks from an address of its own, so that nobody else's requests count."""

    def __init__(self, host: str) -> None:
        self._host = host
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        super().init_poolmanager(*arguments, source_address=(self._host, 0), **named)


@dataclass(frozen=True)
class Site:
    """nginx with a published folder behind it. `base` ends with the prefix."""

    base: str
    out: Path


@pytest.fixture(scope="module")
def site(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Both servers on 127.0.0.1; the example as it is, but for the folder, the ports and the cache's place."""
    if not Path(NGINX).exists():
        pytest.skip(f"{NGINX} is not installed")
    folder = tmp_path_factory.mktemp("nginx")
    out = folder / "public"
    shutil.copytree(place.out, out)
    (out / "portal" / "assets").mkdir(parents=True)
    (out / "portal" / "index.html").write_text("<!doctype html><title>公开</title>" + "正文" * 2000, encoding="utf-8")
    (out / "portal" / "assets" / "bundle.0123abcd.min.js").write_text("1", encoding="ascii")
    with browsing(out, "--prefix", "/gongkai/") as behind:
        port = urlsplit(behind.url).port
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            front = free.getsockname()[1]
        changes = {
            "/srv/syncgov/public/": f"{out}/",
            "/var/cache/nginx/syncgov": f"{folder}/cache",
            "server 127.0.0.1:8001;": f"server 127.0.0.1:{port};",
            "listen 80;": f"listen 127.0.0.1:{front};",
        }
        text = EXAMPLE.read_text(encoding="utf-8")
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        (folder / "syncgov.conf").write_text(text, encoding="utf-8")
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(FRAME.format(folder=folder, user=user), encoding="utf-8")
        checked = subprocess.run(
            [NGINX, "-t", "-p", str(folder), "-c", str(folder / "nginx.conf")], capture_output=True, text=True
        )
        assert checked.returncode == 0, checked.stderr
        with subprocess.Popen([NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")]) as nginx:
            try:
                _wait(front)
                yield Site(f"http://127.0.0.1:{front}/gongkai/", out)
            finally:
                nginx.terminate()


def _wait(port: int) -> None:
    for _ in range(200):
        with closing(socket.socket()) as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("nginx does not listen")


@pytest.fixture
def reader(request: pytest.FixtureRequest) -> Iterator[requests.Session]:
    """A visitor with an address of the test's own."""
    number = sorted(name for name in globals() if name.startswith("test_")).index(request.node.originalname)
    with closing(requests.Session()) as session:
        session.trust_env = False
        session.mount("http://", _From(f"127.0.1.{number + 1}"))
        yield session


def links(site: Site, answer: requests.Response) -> list[str]:
    """Return the addresses on this host that a page names, whole."""
    tags = BeautifulSoup(answer.text, "html.parser").select("[href], [action]")
    named = [str(tag.get("href") or tag.get("action")) for tag in tags]
    whole = [urljoin(answer.url, each) for each in named if not each.startswith(("data:", "#"))]
    return [each for each in whole if each.startswith(urljoin(site.base, "/"))]


def test_every_link_stays_below_the_prefix(site: Site, reader: requests.Session, place: Place) -> None:
    """On each kind of page, also those that Datasette makes; none has it twice."""
    seen: set[str] = set()
    for path in ("", "public", "public/lamp", f"public/lamp/{place.keys[0]}", "public/search_lamp", "public/nothing"):
        answer = reader.get(site.base + path)
        assert answer.status_code == (404 if path == "public/nothing" else 200), path
        found = links(site, answer)
        assert len(found) >= 5, path
        assert [each for each in found if not each.startswith(site.base) or "gongkai/gongkai" in each] == []
        seen |= {each.partition("#")[0] for each in found}
    kinds = {re.sub(r".*/gongkai/([a-z]*).*", r"\1", each) for each in seen}
    assert kinds >= {"public", "portal", "data", "log"}


def test_pages_and_formats_go_on_below_the_prefix(site: Site, reader: requests.Session) -> None:
    """The next page, JSON with its own next page, CSV, a redirect, a chosen filter."""
    first = reader.get(f"{site.base}public/lamp?_size=1")
    page = BeautifulSoup(first.text, "html.parser")
    following = urljoin(first.url, str(page.select_one("a[rel=next]")["href"]))  # type: ignore[index]
    assert following.startswith(site.base)
    assert reader.get(following).status_code == 200
    formats = [urljoin(first.url, str(a["href"])) for a in page.select("main a") if a.text in ("JSON", "CSV")]
    asked = [reader.get(each) for each in formats if "/public/" in each]
    assert [each.status_code for each in asked] == [200, 200]
    told = reader.get(f"{site.base}public/lamp.json?_size=1").json()["next_url"]
    assert told.startswith(site.base)
    assert len(reader.get(told).json()["rows"]) == 1
    slash = reader.get(f"{site.base}public/lamp/", allow_redirects=False)
    assert (slash.status_code, urljoin(slash.url, slash.headers["location"])) == (302, f"{site.base}public/lamp")
    chosen = reader.get(f"{site.base}public/lamp?_filter_column=kind&_filter_op=exact&_filter_value=bulb")
    assert chosen.url == f"{site.base}public/lamp?kind__exact=bulb"
    assert chosen.status_code == 200


def test_the_second_reader_is_served_from_the_cache(site: Site, reader: requests.Session) -> None:
    """Whatever cookies and encodings a browser names; refusals are kept too."""
    for path, status in (("public/crew?_size=1", 200), ("public/crew?_where=1", 403)):
        first = reader.get(site.base + path, headers={"cookie": "a=1"})
        again = reader.get(site.base + path, headers={"cookie": "b=2", "accept-encoding": "identity"})
        assert (first.headers["x-cache"], again.headers["x-cache"]) == ("MISS", "HIT")
        assert (first.status_code, again.status_code, again.text) == (status, status, first.text)
        assert "content-encoding" not in again.headers
        assert "no-store" not in again.headers.get("cache-control", "")


def test_a_burst_is_told_to_wait(site: Site, reader: requests.Session) -> None:
    """One address gets 429 beyond the burst, a neighbour is answered, files are not counted."""

    def ask(_number: int) -> int:
        return reader.get(f"{site.base}public").status_code

    with ThreadPoolExecutor(8) as crowd:
        answers = list(crowd.map(ask, range(120)))
    assert set(answers) == {200, 429}
    assert answers.count(200) >= 20
    assert reader.get(f"{site.base}portal/").status_code == 200
    with closing(requests.Session()) as neighbour:
        neighbour.mount("http://", _From("127.0.2.1"))
        assert neighbour.get(f"{site.base}public").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "-/versions.json", "-/", "-/databases.json", "/-/versions.json", "%2d/versions.json", "x/../-/versions.json",
        "./-/versions.json",
    ],
)  # fmt: skip
def test_what_the_server_knows_of_itself_is_closed(site: Site, path: str) -> None:
    """However it is written, and by nginx itself: Datasette, which refuses it too, is not asked."""
    answer = asked_raw(site, path)
    assert (answer.status, answer.getheader("content-security-policy")) == (404, None)


def asked_raw(site: Site, path: str) -> http.client.HTTPResponse:
    """Return the answer to an address that no library has tidied."""
    parts = urlsplit(site.base)
    with closing(http.client.HTTPConnection(parts.netloc, timeout=20)) as line:
        line.request("GET", parts.path + path)
        return line.getresponse()


def test_the_style_sheet_is_open(site: Site, reader: requests.Session) -> None:
    """And kept for ever."""
    style = next(each for each in links(site, reader.get(f"{site.base}public")) if each.endswith(".css"))
    answer = reader.get(style)
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]


def test_files_are_served_by_nginx(site: Site, reader: requests.Session, place: Place) -> None:
    """Portal, log, open data and the database itself: type, how long they may be kept, small on the line."""
    keep, ever = "public, max-age=300", "public, max-age=31536000, immutable"
    tile = next(path for path in sorted((site.out / "log" / "tile").rglob("*")) if path.is_file())
    expected = {
        "portal/": ("text/html", keep),
        "portal/assets/bundle.0123abcd.min.js": ("application/javascript", ever),
        "data/lamp.csv": ("text/csv", keep),
        "data/lamp.json": ("application/json", keep),
        f"log/proofs/lamp/{place.keys[0]}.json": ("application/json", keep),
        "log/checkpoint": ("application/octet-stream", "no-cache"),
        tile.relative_to(site.out).as_posix(): ("application/octet-stream", ever),
        "public.db": ("application/vnd.sqlite3", "no-cache"),
        "SHA256SUMS": ("text/plain", "no-cache"),
    }
    for path, (kind, kept) in expected.items():
        answer = reader.get(site.base + path)
        file = site.out / (path + "index.html" if path.endswith("/") else path)
        assert (answer.status_code, answer.content) == (200, file.read_bytes()), path
        assert answer.headers["content-type"].partition(";")[0] == kind, path
        assert answer.headers["cache-control"] == kept, path
        assert "x-cache" not in answer.headers
    assert reader.get(f"{site.base}portal/").headers["content-encoding"] == "gzip"
    assert reader.get(f"{site.base}public/lamp").headers["content-encoding"] == "gzip"
    assert reader.get(f"{site.base}portal").url == f"{site.base}portal/"


def test_only_reading_and_only_short(site: Site, reader: requests.Session) -> None:
    """Other methods, bodies and long addresses end at nginx or behind it."""
    assert reader.post(f"{site.base}public", data={"a": "1"}).status_code == 403
    assert reader.get(f"{site.base}public/lamp?_search={'x' * 6000}").status_code == 414
    assert reader.get(f"{site.base}public/lamp?_search={'x' * 60_000}").status_code == 414
    for path in ("log/../metadata.json", "log/%2e%2e/metadata.json", "data/../../nginx.conf", "log../metadata.json"):
        assert asked_raw(site, path).status in (400, 404), path
