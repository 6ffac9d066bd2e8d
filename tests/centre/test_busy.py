"""A centre under load turns requests away with a word when to come again, and devices come again."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from starlette.responses import Response
from starlette.testclient import TestClient

from syncgov.centre.app import BUSY_RETRY_S, Gate, make_app
from syncgov.core.wire import Own, PullAnswer
from syncgov.errors import BusyError, TransportError
from syncgov.storage.replica import Replica
from syncgov.sync import client
from syncgov.sync.transport import MAX_TRIES, MAX_WAIT_S, HttpTransport, Patience, _problem
from tests.helpers import Wire, World, a_task, insert


@pytest.fixture
def gate() -> Gate:
    """A gate that tests open and shut."""
    return Gate(workers=1, places=1)


@pytest.fixture
def world(tmp_path: Path, gate: Gate) -> Iterator[World]:
    """A world whose centre stands behind the gate."""
    with World.make(tmp_path) as made:
        made.wire.client.__exit__(None, None, None)
        made.wire = Wire(make_app(made.centre, made.clock, gate))
        yield made


class Sleeper:
    """Notes the waits instead of waiting, and opens the gate at the last of them."""

    def __init__(self, gate: Gate, opens_after: int) -> None:
        self.waits: list[float] = []
        self._gate, self._opens_after = gate, opens_after

    def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)
        if len(self.waits) == self._opens_after:
            self._gate._places = 1


def patient(monkeypatch: pytest.MonkeyPatch, sleeper: Sleeper) -> None:
    """Let every transport wait with *sleeper*."""
    wait = Patience(sleep=sleeper, chance=lambda: 0.5)
    monkeypatch.setattr("syncgov.sync.transport.Patience", lambda: wait)


def run(played: Coroutine[None, None, None]) -> None:
    """Run to the end in a thread of its own: a browser test may have left a loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, played).result()


def test_the_gate_takes_as_many_as_it_has_places() -> None:
    """One is answered, one waits, the third is turned away; afterwards there is room again."""
    gate, release, answered = Gate(workers=1, places=2), threading.Event(), []

    def handle() -> Response:
        release.wait(10)  # a gate without walls fails the test, it does not hang it
        answered.append(1)
        return Response()

    async def play() -> None:
        first, second = (asyncio.ensure_future(gate.run(handle)) for _ in range(2))
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await gate.run(handle)
        release.set()
        await first
        await second
        await gate.run(handle)

    run(play())
    assert (len(answered), gate.inside, gate.most, gate.refused) == (3, 0, 2, 1)


def test_bodies_fill_no_more_than_the_room_for_them(world: World) -> None:
    """A request whose body does not fit beside the others is told to come again; afterwards there is room again."""
    gate = Gate(room_bytes=100)
    client = TestClient(make_app(world.centre, world.clock, gate))
    assert client.post("/v1/join", content=bytes(101)).status_code == 503
    gate.hold(60)
    assert client.post("/v1/join", content=bytes(41)).status_code == 503
    assert client.post("/v1/join", content=bytes(40)).status_code == 400  # read, and no message
    assert (gate.held_bytes, gate.refused) == (60, 2)


def test_a_handler_that_fails_leaves_its_place() -> None:
    """An error takes no place for ever."""
    gate = Gate(workers=1, places=1)

    def fail() -> Response:
        raise ValueError("broken")

    async def play() -> None:
        for _ in range(3):
            with pytest.raises(ValueError, match="broken"):
                await gate.run(fail)

    run(play())
    assert (gate.inside, gate.refused) == (0, 0)


def test_a_full_centre_says_when_to_come_again(world: World, gate: Gate) -> None:
    """Never a refusal for load without `Retry-After`; a fresh nonce and the counts are still to be had."""
    gate._places = 0
    for path in ("/v1/push", "/v1/pull", "/v1/own", "/v1/join"):
        found = world.wire.client.post(path, content=b"{}")
        assert (found.status_code, found.headers["Retry-After"]) == (503, str(BUSY_RETRY_S))
        assert found.json()["type"] == "urn:syncgov:problem:busy"
        assert "秒后再试" in found.json()["detail_zh"]
        assert found.headers["Replay-Nonce"]
    assert world.wire.client.get("/v1/checkpoint").status_code == 503
    assert world.wire.client.get("/v1/nonce").status_code == 204
    assert world.wire.client.get("/v1/stats").json() == {"busy": 5, "inside": 0, "most": 0, "requests": 7}


def test_a_device_waits_and_comes_again(world: World, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync that meets a full centre succeeds by itself; the worker is told each wait."""
    pen = world.device("pen")
    insert(pen, "task", a_task())
    sleeper = Sleeper(gate, opens_after=3)
    patient(monkeypatch, sleeper)
    gate._places = 0
    told: list[tuple[str, int, int]] = []
    with world.line():
        done = client.sync(pen, progress=lambda *said: told.append(said))
    assert done.accepted == 1
    assert sleeper.waits == [BUSY_RETRY_S * 1.5, BUSY_RETRY_S * 1.5, BUSY_RETRY_S * 3]
    assert [said for said in told if said[0] == "busy"] == [("busy", 8, 1), ("busy", 8, 2), ("busy", 15, 3)]


def test_a_device_gives_up_in_words_and_loses_nothing(
    world: World, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tries are bounded; afterwards the work is still there and goes with the next sync."""
    pen = world.device("pen")
    insert(pen, "task", a_task())
    sleeper = Sleeper(gate, opens_after=-1)
    patient(monkeypatch, sleeper)
    gate._places = 0
    with world.line(), pytest.raises(TransportError) as caught:
        client.sync(pen)
    assert "中心正忙" in caught.value.zh
    assert "没有丢失" in caught.value.zh
    assert len(sleeper.waits) == MAX_TRIES - 1
    assert max(sleeper.waits) <= 2 * MAX_WAIT_S
    gate._places = 1
    assert world.sync(pen).accepted == 1


def test_each_try_is_signed_anew(world: World, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A nonce that grew old while the device waited does not end the sync."""
    pen: Replica = world.device("pen")
    patient(monkeypatch, Sleeper(gate, opens_after=1))
    gate._places = 0
    signed: list[str] = []
    transport = world.transport(pen)
    authorize = transport._authorization

    def noting(path: str, raw: bytes) -> dict[str, str]:
        signed.append(transport._nonce)
        return authorize(path, raw)

    monkeypatch.setattr(transport, "_authorization", noting)
    transport.post("/v1/own", Own(0), PullAnswer)
    assert len(signed) == 2
    assert "" not in signed


def test_a_device_that_waits_hangs_up(world: World, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The centre ends idle connections; a request into one that is being ended would be lost."""
    pen = world.device("pen")
    hung_up: list[str] = []
    monkeypatch.setattr(Wire, "close", lambda _self: hung_up.append("closed"))
    sleeper = Sleeper(gate, opens_after=1)
    patient(monkeypatch, sleeper)
    gate._places = 0
    transport = world.transport(pen)
    transport.post("/v1/own", Own(0), PullAnswer)
    assert (len(sleeper.waits), hung_up) == (1, ["closed"])


def answer(status: int, content: bytes = b"", **headers: str) -> requests.Response:
    """Return an answer as `requests` gives it."""
    made = requests.Response()
    made.status_code, made._content = status, content
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_proxy_is_waited_for(status: int) -> None:
    """A proxy in front of the centre speaks no problem documents."""
    error = _problem(answer(status, b"<html>busy</html>", Retry_After="17"))
    assert isinstance(error, TransportError)
    assert error.retry_after_s == 17


def test_a_full_disk_is_not_waited_for() -> None:
    """What does not pass by waiting ends the sync at once."""
    error = _problem(answer(503, b'{"type":"urn:syncgov:problem:storage","detail":"full"}', Retry_After="5"))
    assert isinstance(error, TransportError)
    assert error.retry_after_s is None


def test_a_wait_has_an_end() -> None:
    """A centre that asks for a day is asked again after two minutes at most."""
    waits: list[float] = []
    transport = HttpTransport("http://centre.invalid")
    transport.patience = Patience(tries=3, sleep=waits.append, chance=lambda: 1.0)

    def busy() -> requests.Response:
        raise TransportError("", "", 86_400)

    with pytest.raises(TransportError):
        transport._patiently(busy)
    assert waits == [2 * MAX_WAIT_S, 2 * MAX_WAIT_S]
