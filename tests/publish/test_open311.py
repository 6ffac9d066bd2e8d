"""GeoReport v2: the static files and the live answers say the same, and programs of others read them."""

import asyncio
import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from georeport import GeoReport

from syncgov.audit.audit import audit
from syncgov.core import open311
from syncgov.core.public_rows import make_table
from syncgov.core.register import RegisterSet, check_set, parse_register
from syncgov.errors import RegisterError
from syncgov.importers.open311 import import_open311
from syncgov.publish.browse import make_datasette
from syncgov.storage.files import read_register
from tests.audit.street import write_pages
from tests.helpers import World
from tests.publish.place import CREW, LAMP, Place
from tests.publish.reading import cells

IMPORTED = Path(__file__).parents[2] / "examples/open311/service_request.yml"


class Quiet(SimpleHTTPRequestHandler):
    """A plain web server for files, as any county has."""

    def log_message(self, *_args: Any) -> None:
        """Write no log."""


@pytest.fixture(scope="module")
def address(place: Place) -> Iterator[str]:
    """The published folder on a plain web server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(place.out))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/open311/v2"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def served(place: Place) -> Any:
    """Datasette over the published folder."""
    return make_datasette(place.out)


def get(served: Any, path: str) -> Any:
    """Answer a request in this process."""
    return asyncio.run(served.client.get(f"/open311/v2/{path}"))


def told(place: Place, name: str) -> Any:
    """Return what a static JSON file says."""
    return json.loads((place.out / "open311/v2" / f"{name}.json").read_text(encoding="utf-8"))


def test_every_published_matter_is_a_request(place: Place) -> None:
    """Number, state, service, place and times are those of public.db; what is withheld is absent."""
    sql = "SELECT _no, state, kind, words, _created, _updated, _community FROM lamp ORDER BY rowid DESC"
    rows = cells(place.out, sql)
    found = told(place, "requests")
    assert len(found) == len(rows) == 3
    for one, (number, state, kind, words, created, updated, community) in zip(found, rows, strict=True):
        assert one["service_request_id"] == number
        assert one["status"] == ("closed" if state == "done" else "open")
        assert (one["service_code"], one["description"], one["address_id"]) == (kind, words, community)
        assert (one["requested_datetime"], one["updated_datetime"]) == (created, updated)
        assert told(place, f"requests/{number}") == [one]
    assert [each["agency_responsible"] for each in found] == [None, None, "东班"]
    assert found[-1]["status_notes"] == "已修好"
    assert {each["service_name"] for each in found} == {"灯泡", "灯杆", None}
    assert "13912345678" not in json.dumps(found)


def test_the_members_are_those_of_a_real_server(place: Place, shared: Path) -> None:
    """What Chicago sends has the same names and types; its extensions aside."""
    real = json.loads((shared / "data/open311_chicago.json").read_text(encoding="utf-8"))
    extensions = {"attributes", "extended_attributes", "notes"}
    names = {name for each in real for name in each} - extensions
    for one in told(place, "requests"):
        assert names <= one.keys()
        for name in names & {"service_request_id", "status", "requested_datetime", "updated_datetime"}:
            assert isinstance(one[name], str)


def test_our_own_import_reads_our_own_requests(place: Place, tmp_path: Path) -> None:
    """The importer that takes other cities' requests takes ours: every member has the form that it checks."""
    entries = [each for each in told(place, "requests") if each["service_code"]]
    file = tmp_path / "requests.json"
    file.write_text(json.dumps(entries), encoding="utf-8")
    with World.make(tmp_path / "world", [read_register(IMPORTED)]) as world:
        done = import_open311(file, world.device("desk", "intake"))
    assert (done.requests, done.changesets, done.left_out) == (len(entries), len(entries), ())
    assert entries


@pytest.mark.parametrize("kind", ["json", "xml"])
def test_an_existing_client_reads_the_static_files(place: Place, address: str, kind: str) -> None:
    """`georeport` from PyPI lists services and requests, and finds one."""
    client = GeoReport(address, output_format=kind)
    assert [each["service_code"] for each in client.get_service_list()] == ["bulb", "pole"]
    found = client.get_service_requests()
    assert [each["service_request_id"] for each in found] == [
        each["service_request_id"] for each in told(place, "requests")
    ]
    number = found[0]["service_request_id"]
    one = client.get_service_request(number)
    assert (one[0] if isinstance(one, list) else one)["service_request_id"] == number


@pytest.mark.parametrize("kind", ["json", "xml"])
@pytest.mark.parametrize("name", ["services", "requests"])
def test_live_answers_are_the_static_files(place: Place, served: Any, name: str, kind: str) -> None:
    """Byte for byte; single requests too."""
    assert get(served, f"{name}.{kind}").content == (place.out / f"open311/v2/{name}.{kind}").read_bytes()
    number = told(place, "requests")[0]["service_request_id"]
    one = get(served, f"requests/{number}.{kind}")
    assert one.content == (place.out / f"open311/v2/requests/{number}.{kind}").read_bytes()
    assert one.headers["content-type"].startswith("application/json" if kind == "json" else "text/xml")


def test_live_filters(place: Place, served: Any) -> None:
    """Those of GeoReport: numbers override, then service, state and time."""
    every = told(place, "requests")
    numbers = [each["service_request_id"] for each in every]

    def ask(question: str) -> list[str]:
        return [each["service_request_id"] for each in get(served, f"requests.json?{question}").json()]

    assert ask("status=closed") == [numbers[2]]
    assert ask("status=open") == numbers[:2]
    assert ask("status=open,closed") == numbers
    assert ask("service_code=pole") == [each["service_request_id"] for each in every if each["service_code"] == "pole"]
    assert ask(f"service_request_id={numbers[1]},{numbers[0]}&status=closed") == numbers[:2]
    created = every[0]["requested_datetime"]
    assert ask(f"start_date={quote(created)}") == [
        each["service_request_id"] for each in every if each["requested_datetime"] >= created
    ]
    assert ask("end_date=2001-01-01T00:00:00Z") == []
    assert ask("start_date=2001-01-01T00:00:00%2B08:00&jurisdiction_id=") == numbers


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("requests.json?status=%27%20OR%201=1--", 400),
        ("requests.json?start_date=yesterday", 400),
        ("requests.json?service_request_id=" + ",".join("1" * 101), 400),
        ("requests.json?jurisdiction_id=other.example", 404),
        ("requests/%27%22%3Cscript%3E.json", 404),
        ("requests/~~00.xml", 404),
        ("tokens/1.json", 404),
    ],
)
def test_bad_questions_get_georeports_errors(served: Any, path: str, status: int) -> None:
    """A list of code and description, never a traceback or a page."""
    answer = get(served, path)
    assert answer.status_code == status
    if ".xml" in path:
        assert ElementTree.fromstring(answer.content).find("error/code").text == str(status)  # type: ignore[union-attr]
    else:
        assert [error["code"] for error in answer.json()] == [status]


def test_hostile_text_is_only_text() -> None:
    """Markup, direction marks, four-byte characters and what no XML can hold come back as they are, or not at all."""
    text = "<script>alert(1)</script>&\"'\u202e𠮷\ufffe]]>" + "长" * 10_000
    body = open311.format_answer("service_requests", [{"description": text, "lat": None}], "xml")
    one = ElementTree.fromstring(body).find("request/description")
    assert one is not None
    assert one.text == text.replace("\ufffe", "")
    assert json.loads(open311.format_answer("x", [text], "json")) == [text]


def test_more_than_a_thousand_go_on_other_pages() -> None:
    """The newest first, none twice, none lost; a number that is no file name has one all the same."""
    register = parse_register(LAMP, "lamp.yml")
    columns = "key _no kind words state crew _community _created _updated"
    rows: list[tuple[Any, ...]] = [
        (str(i), f"甲/{i}", "bulb", None, "fresh", None, "1", f"t{i}", f"t{i}") for i in range(2001)
    ]
    meta = {"as_of": "t", "simulated": "1", "name": "某街道"}
    tables = {"lamp": make_table(columns, "key", rows), "meta": make_table("key value", "key", meta.items())}
    files = dict(open311.files(tables, {"lamp": register}))  # type: ignore[arg-type]
    pages = [json.loads(files[f"open311/v2/{name}.json"]) for name in ("requests", "requests-2", "requests-3")]
    assert [len(page) for page in pages] == [1000, 1000, 1]
    numbers = [each["service_request_id"] for page in pages for each in page]
    assert numbers == [f"甲/{i}" for i in reversed(range(2001))]
    assert "open311/v2/requests/~E7~94~B2~2F7.xml" in files
    assert json.loads(files["open311/v2/discovery.json"])["endpoints"][0]["type"] == "test"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("service: kind", "service: words", "words"),
        ("closed: {state: [done]}", "closed: {state: [gone]}", "gone"),
        ("closed: {state: [done]}", "closed: {}", "closed"),
        ("service: kind, ", "", "service"),
        ("agency: crew", "lat: cost", "lat"),
        ("description: words", "description: inside", "inside"),
    ],
)
def test_a_wrong_declaration_is_named(old: str, new: str, words: str) -> None:
    """Columns that are not public, of another type or unknown are refused with their line."""
    with pytest.raises(RegisterError, match=words):
        parse_register(LAMP.replace(old, new), "lamp.yml")


def test_one_register_only_declares_it() -> None:
    """Two would give the same number to two matters."""
    one = parse_register(LAMP.replace("ref: crew", "ref: lamp"), "lamp.yml")
    other = parse_register(one.text.replace("register: lamp", "register: tree").replace("lamps", "trees"), "tree.yml")
    check_set([one])
    with pytest.raises(RegisterError, match="open311"):
        check_set([one, other])


def test_where_nothing_is_declared_there_is_nothing(place: Place, tmp_path: Path) -> None:
    """No files, and the live answer says so."""
    assert list(open311.files({}, RegisterSet([parse_register(CREW, "crew.yml")]))) == []
    copy = tmp_path / "out"
    shutil.copytree(place.out, copy)
    with closing(sqlite3.connect(copy / "public.db")) as conn:
        conn.execute("UPDATE register SET text = ? WHERE name = 'lamp'", [LAMP.split("  open311:")[0]])
        conn.commit()
    assert get(make_datasette(copy), "requests.json").status_code == 404


def test_the_audit_makes_every_answer_again(out: Path) -> None:
    """A changed, missing or added answer is named, even when whoever changed it signs the list anew."""
    folder = out / "open311/v2"
    number = json.loads((folder / "requests.json").read_text(encoding="utf-8"))[0]["service_request_id"]
    report = audit(out, out.parent / "centre/charter.json")
    assert report.counts["open311"] == 6 + 2 * 3
    (folder / "requests.xml").write_bytes((folder / "requests.xml").read_bytes().replace(b"open", b"shut"))
    (folder / f"requests/{number}.json").unlink()
    (folder / "tokens.json").write_text("[]")
    write_pages(out, {})
    findings = audit(out, out.parent / "centre/charter.json").findings
    names = {f"open311/v2/{name}" for name in ("requests.xml", f"requests/{number}.json", "tokens.json")}
    assert {each.path for each in findings if each.code == "open311"} == names
