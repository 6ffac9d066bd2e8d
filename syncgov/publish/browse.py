"""Datasette over a published folder, hardened, with the static files beside it, in one process on this machine only."""

import json
import re
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import uvicorn
from datasette.app import Datasette

from syncgov.core.statement import PROTOCOL_VERSION
from syncgov.errors import InputError, StorageError, VersionError

HOST = "127.0.0.1"
PLUGINS = Path(__file__).resolve().parent / "datasette_plugin"
MOUNTS = ("portal", "log", "data")

MAX_HEAD_BYTES = 16_384  # of a request: address, cookies and other headers
MAX_REQUESTS = 64  # at a time; what comes beyond is told to come back (503), so that memory stays bounded
KEEP_ALIVE_S = 5

_PREFIX = re.compile("/([A-Za-z0-9_-]+/)*")

# Arbitrary SQL, suggested facets and streamed CSV each let one visitor stop the server for all (measured).
SETTINGS = {
    "default_allow_sql": False,
    "allow_download": False,
    "suggest_facets": False,
    "allow_facet": False,
    "allow_csv_stream": False,
    "max_returned_rows": 500,
    "sql_time_limit_ms": 800,
    "facet_time_limit_ms": 150,
    "default_cache_ttl": 300,
}


def make_datasette(out: Path, prefix: str = "/") -> Any:
    """Return the Datasette that serves published folder *out*.

    Args:
        prefix: under which a web server before it shows it, with a slash at both ends; the server takes it away.

    Raises:
        InputError: not such a prefix.
        StorageError: it is not a published folder. VersionError: one of another version.
    """
    if not _PREFIX.fullmatch(prefix):
        raise InputError(
            f"前缀 {prefix!r} 不能用：要以 / 开头和结尾，如 /gongkai/",
            f"prefix {prefix!r} cannot be used: it must begin and end with /, such as /gongkai/",
        )
    database = out / "public.db"
    try:
        metadata = json.loads((out / "metadata.json").read_bytes())
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as conn:
            row = conn.execute("SELECT value FROM meta WHERE key = 'protocol_version'").fetchone()
    except (OSError, ValueError, sqlite3.Error) as error:
        raise StorageError(
            f"{out} 不是公开文件夹：{error}；先运行 syncgov publish 中心 {out}",
            f"{out} is not a published folder: {error}; run syncgov publish CENTRE {out} first",
        ) from error
    version = str(row[0]) if row is not None and row[0] is not None else ""
    if version != str(PROTOCOL_VERSION):
        again = (f"请重新公开：syncgov publish 中心 {out}", f"publish again: syncgov publish CENTRE {out}")
        raise VersionError(str(database), str(database), version, PROTOCOL_VERSION, again)
    return Datasette(
        immutables=[str(database)],
        metadata=metadata,
        plugins_dir=str(PLUGINS),
        static_mounts=[(name, str(out / name)) for name in MOUNTS],
        settings={**SETTINGS, "base_url": prefix},
    )


def browse(out: Path, port: int = 8001, prefix: str = "/", *, ready: Callable[[int], None] | None = None) -> None:
    """Serve published folder *out* until Ctrl-C.

    Args:
        port: 0 for any free one.
        prefix: see `make_datasette`.
        ready: called with the port once requests are answered.

    Raises:
        InputError: the prefix cannot be used.
        StorageError: not a published folder, or the port is taken.
    """
    app = make_datasette(out.absolute(), prefix).app()
    with closing(_listen(port)) as listener:
        config = uvicorn.Config(
            app,
            log_level="error",
            access_log=False,
            lifespan="on",
            http="h11",  # the one whose limit of a request's head is set below
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            limit_concurrency=MAX_REQUESTS,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        server = _Server(config, ready)
        server.run(sockets=[listener])


def _listen(port: int) -> socket.socket:
    # the protocol is named because asyncio switches Nagle's algorithm off only then: 40 ms an answer
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise StorageError(f"端口 {port} 不能用：{error}", f"cannot listen on port {port}: {error}") from error
    return listener


class _Server(uvicorn.Server):
    """A server that says when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[int], None] | None) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ready is not None and sockets and not self.should_exit:
            self._ready(sockets[0].getsockname()[1])
