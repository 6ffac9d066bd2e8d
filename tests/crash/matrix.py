"""Kill a scenario at many or all of its steps, check each time, and count."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

from tests.crash.die_at import ACKNOWLEDGED
from tests.crash.scenarios import SCENARIOS
from tests.crash.steps import KINDS

DIE_AT = Path(__file__).with_name("die_at.py")
MEMORY = Path("/dev/shm")
AHEAD = 2  # attempts that may wait to be checked: each is a folder


def killed(name: str, *, per_kind: int = 0, only: str = "") -> Counter[str]:
    """Kill a scenario at its steps and check what is left each time; returns the number of kills of each kind.

    Args:
        per_kind: at most so many of each kind; 0: at every step. only: this kind alone.
    """
    scenario = SCENARIOS[name]
    kills: Counter[str] = Counter()
    results, lived = [], 0
    # memory serves: killing a process proves nothing about disks
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as place:
        base, work = Path(place) / "base", Path(place) / "work"
        scenario.prepare(Path(place) / "made")
        shutil.copytree(Path(place) / "made", base)  # server threads of this process may still hold files open there
        command = [sys.executable, str(DIE_AT), str(base), str(work), name, str(per_kind), only]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n" * AHEAD)
            process.stdin.flush()
            for line in process.stdout:
                k, kind, status = json.loads(line)
                # threads end in any order: a run may have fewer steps than the first had
                lived += status == 0 and k > 0 and not kind
                assert status in (0, -signal.SIGKILL if kind else 0), f"{name}, step {k} ({kind}): ended with {status}"
                folder = work / str(k)
                said = [json.loads(each) for each in (folder / ACKNOWLEDGED).read_text().splitlines()]
                try:
                    results.append(scenario.check(folder, said))
                except BaseException as error:
                    error.add_note(f"{name}, killed before step {k} ({kind})")
                    raise
                assert results[-1] == results[0], f"{name}, killed before step {k} ({kind}): ends otherwise"
                shutil.rmtree(folder)
                kills[kind] += 1
                with suppress(BrokenPipeError):  # it was the last
                    process.stdin.write("\n")
                    process.stdin.flush()
            with suppress(BrokenPipeError):
                process.stdin.close()
        assert process.returncode == 0
    del kills[""]
    assert lived <= kills.total() // 20 + 1, f"{name}: {lived} of {kills.total()} runs lived"
    return kills


def table(counts: dict[str, Counter[str]]) -> str:
    """Return the kills of every scenario by kind, for people."""
    kinds = [kind for kind in KINDS if any(each[kind] for each in counts.values())]
    total: Counter[str] = sum(counts.values(), Counter())
    width = max(map(len, counts))
    lines = [" " * width + "".join(f"{kind:>12}" for kind in (*kinds, "all"))]
    for name, found in {**counts, "all": total}.items():
        numbers = [*(found[kind] for kind in kinds), found.total()]
        lines.append(f"{name:<{width}}" + "".join(f"{number:>12}" for number in numbers))
    return "\n".join(lines)
