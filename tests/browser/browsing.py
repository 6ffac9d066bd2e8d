"""A headless Chromium, a web server for a folder, and a page that remembers what it asked for."""

import functools
import gzip
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Page, Request, Response

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *arguments: object) -> None:
        pass


@dataclass
class Opened:
    """A browser page and what it asked for."""

    page: Page
    base: str
    asked: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)

    def elsewhere(self) -> list[str]:
        """Return requests that left the host."""
        return [url for url in self.asked if not url.startswith((self.base, "data:", "blob:", "about:"))]

    def weight(self) -> int:
        """Return the bytes of all answers so far, as a server sends them that compresses."""
        return sum(len(gzip.compress(answer.body())) for answer in self.answers)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve *folder* on 127.0.0.1; gives its address with a slash at the end."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def opened(browser: Browser, base: str, width: int) -> Opened:
    """Return a new page that records requests and errors."""
    return recording(browser.new_page(viewport={"width": width, "height": 900}), base)


def recording(page: Page, base: str) -> Opened:
    """Return *page*, which from now on records requests, answers and errors."""
    result = Opened(page, base)

    def record(request: Request) -> None:
        result.asked.append(request.url)

    page.on("request", record)
    page.on("response", lambda answer: result.answers.append(answer))
    page.on("pageerror", lambda error: result.errors.append(str(error)))
    page.on("dialog", lambda dialog: result.errors.append(dialog.message))
    return result
