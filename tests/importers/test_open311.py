"""Open311 requests with their timelines go through the same pipeline as everything else, or not at all."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from syncgov.core.register_model import Register
from syncgov.errors import InputError, NotAllowedError
from syncgov.importers.open311 import import_open311
from syncgov.storage.files import read_register
from tests.helpers import World

REGISTER = Path(__file__).parents[2] / "examples" / "open311" / "service_request.yml"


@pytest.fixture(scope="module")
def requests(shared: Path) -> list[dict[str, Any]]:
    """The 40 real requests."""
    found: list[dict[str, Any]] = json.loads((shared / "data" / "open311_chicago.json").read_text())
    assert len(found) == 40
    return found


@pytest.fixture(scope="module")
def register() -> Register:
    """The register of service requests: a YAML file and nothing else."""
    return read_register(REGISTER)


@pytest.fixture
def world(tmp_path: Path, register: Register):
    """A centre with this one register."""
    with World.make(tmp_path / "world", [register]) as made:
        yield made


def write(folder: Path, entries: Any) -> Path:
    """Write entries as a file."""
    path = folder / "requests.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


def test_the_real_requests_reach_the_central_table(
    world: World, tmp_path: Path, requests: list[dict[str, Any]]
) -> None:
    """All 40 are signed, accepted, and say at the centre what the file says; importing again changes nothing."""
    replica = world.device("desk", "intake")
    file = write(tmp_path, requests)
    done = import_open311(file, replica)
    assert (done.requests, done.changesets, done.left_out) == (40, 40, ())
    synced = world.sync(replica)
    assert (synced.accepted, synced.refused) == (40, [])
    sql = "SELECT service_request_id, status, lat, long, requested_datetime, timeline FROM service_request"
    rows = {row[0]: row[1:] for row in world.centre.ledger.conn.execute(sql)}
    assert len(rows) == 40
    assert sum(state == "closed" for state, *_ in rows.values()) == 39
    for request in requests:
        state, lat, long, requested, timeline = rows[request["service_request_id"]]
        assert state == request["status"]
        assert abs(lat - request["lat"] * 1e6) <= 1
        assert abs(long - request["long"] * 1e6) <= 1
        assert requested.endswith("+08:00")
        assert [n["summary"] for n in json.loads(timeline)] == [n["summary"] for n in request["notes"]]
    assert import_open311(file, replica).changesets == 0


def test_times_name_the_same_instant_in_beijing_time(
    world: World, tmp_path: Path, requests: list[dict[str, Any]]
) -> None:
    """2014-01-07T23:16:02-06:00 is 13:16:02 of the next day."""
    replica = world.device("desk", "intake")
    import_open311(write(tmp_path, requests[:1]), replica)
    found = replica.conn.execute("SELECT requested_datetime, timeline FROM service_request").fetchone()
    assert found[0] == "2014-01-08T13:16:02+08:00"
    assert json.loads(found[1])[2]["related"] == "14-00611268"


def test_a_later_state_of_a_request_changes_its_row(
    world: World, tmp_path: Path, requests: list[dict[str, Any]]
) -> None:
    """The same request on another device is the same row: a reopened one is open again everywhere."""
    first, second = world.device("one", "intake"), world.device("two", "intake")
    import_open311(write(tmp_path, requests[:3]), first)
    world.sync(first)
    world.sync(second)
    later = copy.deepcopy(requests[:3])
    later[1] |= {"status": "open", "updated_datetime": "2015-10-03T08:00:00-05:00"}
    del later[1]["status_notes"]
    assert import_open311(write(tmp_path, later), second).changesets == 1
    assert world.sync(second).refused == []
    world.sync(first)
    sql = "SELECT status, status_notes FROM service_request WHERE service_request_id = ?"
    found = first.conn.execute(sql, (requests[1]["service_request_id"],)).fetchall()
    assert found == [("open", "Transfer to Plumbing Violation")]


def broken(member: str, value: Any) -> Any:
    """Return what makes entry 7 wrong in one member; dots and numbers lead inside."""

    def change(entries: list[dict[str, Any]]) -> None:
        place: Any = entries[6]
        *path, last = [int(part) if part.isdigit() else part for part in member.split(".")]
        for part in path:
            place = place[part]
        if value is ...:
            del place[last]
        else:
            place[last] = value

    return change


@pytest.mark.parametrize(
    ("member", "value", "named"),
    [
        ("service_request_id", ..., "service_request_id"),
        ("service_request_id", "14-00026405", "service_request_id"),
        ("status", "pending", "status"),
        ("status", ..., "status"),
        ("requested_datetime", ..., "requested_datetime"),
        ("requested_datetime", "last week", "requested_datetime"),
        ("requested_datetime", "2014-01-07T23:16:02", "requested_datetime"),
        ("updated_datetime", "2014-13-01T00:00:00Z", "updated_datetime"),
        ("lat", 91, "lat"),
        ("lat", "north", "lat"),
        ("long", True, "long"),
        ("long", "NaN", "long"),
        ("address", 5.5, None),
        ("address", ["x"], "address"),
        ("address", "x" * 301, "address"),
        ("service_name", "bell\x07", "service_name"),
        ("notes", "none", "notes"),
        ("notes.1", "x", r"notes\[2\]"),
        ("notes.1.datetime", "soon", r"notes\[2\].datetime"),
        ("notes.0.summary", {}, r"notes\[1\].summary"),
        ("attributes", [], None),
        ("attributes", ["x"], "attributes"),
        ("attributes", {"q": {"deep": 1}}, r"attributes\.q"),
    ],
)
def test_an_error_in_entry_7_is_named_and_nothing_is_imported(
    world: World, tmp_path: Path, requests: list[dict[str, Any]], member: str, value: Any, named: str | None
) -> None:
    """Entry and member are in the message; no row, no changeset."""
    replica = world.device("desk", "intake")
    entries = copy.deepcopy(requests)
    broken(member, value)(entries)
    if named is None:  # other cities do write so
        assert import_open311(write(tmp_path, entries), replica).requests == 40
        return
    with pytest.raises(InputError, match=rf"requests\.json: entry 7, {named}") as caught:
        import_open311(write(tmp_path, entries), replica)
    assert "第 7 条" in caught.value.zh
    assert replica.conn.execute("SELECT count(*) FROM service_request").fetchone() == (0,)
    assert replica.meta.get_int("last_seq") == 0


@pytest.mark.parametrize(
    "text", ["{}", "[7]", "null", '[{"service_request_id": 1, "service_request_id": 2}]', "<xml/>"]
)
def test_what_is_no_list_of_requests_is_refused(world: World, tmp_path: Path, text: str) -> None:
    """XML, single objects, numbers."""
    path = tmp_path / "requests.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"requests\.json"):
        import_open311(path, world.device("desk", "intake"))


def test_a_device_that_may_not_write_requests_is_told(world: World, tmp_path: Path) -> None:
    """The auditor may read, not import; a register that is not there is named."""
    replica = world.device("auditor", "auditor")
    with pytest.raises(NotAllowedError, match="service_request"):
        import_open311(write(tmp_path, []), replica)
    with pytest.raises(NotAllowedError, match="other_register"):
        import_open311(write(tmp_path, []), replica, table="other_register")


def test_members_that_are_left_out_are_named(world: World, tmp_path: Path, requests: list[dict[str, Any]]) -> None:
    """Nothing is dropped without a word."""
    entry = {**requests[0], "priority": 1, "votes": 5}
    done = import_open311(write(tmp_path, [entry]), world.device("desk", "intake"))
    assert done.left_out == ("priority", "votes")
