"""Run a centre's HTTP server on 127.0.0.1."""

import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from syncgov.centre.app import make_app
from syncgov.centre.centre import Centre
from syncgov.errors import StorageError
from syncgov.storage.clock import Clock, wall_clock

HOST = "127.0.0.1"  # a proxy with TLS stands in front of a centre that others reach
DEFAULT_PORT = 8600
KEEP_ALIVE_S = 75  # a slow device takes that long between two pages; one that waits for a busy centre hangs up itself


def serve(
    path: Path, port: int = DEFAULT_PORT, *, clock: Clock = wall_clock, ready: Callable[[int], None] | None = None
) -> None:
    """Serve the centre at *path* until the process is told to stop.

    Args:
        port: 0 takes a free one.
        clock: the centre's clock, ms UTC; only a simulation gives another than the wall's.
        ready: called with the port when requests are about to be taken.

    Raises:
        StorageError: no centre there, or the port is taken.
    """
    if not (path / "central.db").is_file():
        raise StorageError(f"{path} 不是中心文件夹，请先 init", f"{path} is not a centre; run `syncgov init` first")
    centre = Centre(path, clock=clock)
    # the protocol is named because asyncio switches Nagle's algorithm off only then: 40 ms an answer
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        raise StorageError(f"端口 {port} 已被占用，请换一个 --port", f"port {port} is taken: {error}") from error
    listener.listen()
    if ready is not None:
        ready(listener.getsockname()[1])
    config = uvicorn.Config(
        make_app(centre, wall_clock),
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        listener.close()
        centre.close()
