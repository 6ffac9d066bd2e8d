"""A program in the peers' own environment: it prints its versions, then answers each line with one round's figures."""

import json
import os
import subprocess
from pathlib import Path
from types import TracebackType

FOLDER = Path(__file__).resolve().parent / "peers"
PYTHON = Path("build") / "peers" / "bin" / "python"  # made by `make bench`


def find_python() -> Path | None:
    """Return the interpreter of the peers' environment; SYNCGOV_PEERS names another; None if there is none."""
    path = Path(os.environ.get("SYNCGOV_PEERS", PYTHON))
    return path.absolute() if path.exists() else None


class Peer:
    """One running program. `versions`: what it says it is."""

    def __init__(self, program: str, *arguments: str) -> None:
        python = find_python()
        if python is None:
            raise FileNotFoundError(f"no {PYTHON}: `make bench` makes it, SYNCGOV_PEERS names another")
        command = [str(python), str(FOLDER / program), *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.versions: dict[str, str] = self._read()

    def round(self) -> dict[str, float]:
        """Let it run one round; returns its figures."""
        assert self._process.stdin is not None
        self._process.stdin.write("round\n")
        self._process.stdin.flush()
        figures: dict[str, float] = self._read()
        return figures

    def _read(self) -> dict:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peer ended with {self._process.wait()}")
        return json.loads(line)

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
