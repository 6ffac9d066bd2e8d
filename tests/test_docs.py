"""What the documents say is compared with what the code does."""

import json
import re
import shlex
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path

import click
import pytest

import syncgov
from syncgov import cli
from syncgov.core.register import parse_register
from syncgov.core.statement import PROTOCOL_VERSION
from syncgov.core.workflow import find_transition
from syncgov.storage.schema import columns_for, table_sql

ROOT = Path(__file__).resolve().parents[1]
PROTOCOL_PAGE = ROOT / "portal" / "content" / "spec" / "protocol.md"

# Folders of one machine. `.ci` and `tests` are left out: they may speak about them.
MACHINE_PATH = re.compile(r"/(?:work|root)/|/(?:tmp|home)/[a-z]")
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")


@cache
def tracked() -> tuple[Path, ...]:
    """Return the files that git tracks or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return tuple(path for name in names if name and (path := ROOT / name).is_file())


def root_group() -> click.Group:
    """Return the click group behind the `syncgov` command: the one that no other group of the module holds."""
    groups = {id(value): value for value in vars(cli).values() if isinstance(value, click.Group)}
    inner = {id(command) for group in groups.values() for command in group.commands.values()}
    (root,) = [group for key, group in groups.items() if key not in inner]
    return root


def commands(group: click.Group, prefix: str = "") -> Iterator[str]:
    """Yield the full name of every command and sub-command: `sync`, `register check`."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}"


def people_read() -> str:
    """Return the text of the README and of every hand-written page."""
    pages = [ROOT / "README.md", *sorted((ROOT / "portal" / "content").rglob("*.md"))]
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def readme() -> str:
    """Return the README."""
    return (ROOT / "README.md").read_text(encoding="utf-8")


def shell_lines(text: str) -> list[str]:
    """Return the commands of the ```sh blocks, each on one line even if its quotes span several; no comments."""
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    joined = "".join(re.sub(r"'[^']*'", lambda quoted: quoted.group().replace("\n", " "), block) for block in blocks)
    return [line for line in joined.splitlines() if line and not line.startswith("#")]


def test_every_command_is_documented() -> None:
    """No command exists that README and pages keep silent about."""
    text = people_read()
    names = list(commands(root_group()))
    assert len(names) >= 15
    assert not [name for name in names if f"syncgov {name}" not in text]


def test_every_command_that_the_readme_shows_exists() -> None:
    """The README promises no command and no option that the program does not have."""
    shown = [shlex.split(line, comments=True)[1:] for line in shell_lines(readme()) if line.startswith("syncgov ")]
    assert len(shown) >= 4
    for words in shown:
        command: click.Command = root_group()
        while isinstance(command, click.Group) and words:
            command = command.commands[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, command.name


def test_every_make_target_that_the_documents_name_exists() -> None:
    """`make X` in README and CONTRIBUTING is a target of the Makefile."""
    text = readme() + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)", text))
    assert {"demo", "test"} <= named <= targets


def test_the_writes_of_the_readme_work(tmp_path: Path) -> None:
    """Whoever pastes the grid worker's day of the README gets a row in a table of the built-in register."""
    (insert,) = [shlex.split(line) for line in shell_lines(readme()) if "| sqlite-utils insert " in line]
    (update,) = [shlex.split(line) for line in shell_lines(readme()) if line.startswith("sqlite3 ")]
    row, command = insert[1], insert[insert.index("|") + 2 :]
    table = command[2]
    path = ROOT / "syncgov" / "registers" / f"{table}.yml"
    register = parse_register(path.read_text(encoding="utf-8"), path.name)
    with closing(sqlite3.connect(tmp_path / command[1], isolation_level=None)) as conn:
        conn.execute(table_sql(register, columns_for(register, None), table))
        run = [sys.executable, "-m", "sqlite_utils", *command]
        subprocess.run(run, cwd=tmp_path, input=row, check=True, text=True)
        assert conn.execute(update[2]).rowcount == 1
    workflow = register.workflow
    assert workflow is not None
    assert find_transition(workflow, None, json.loads(row)[workflow.state_column], {"grid_worker"})


def test_the_protocol_page_and_the_code_have_one_version() -> None:
    """Whoever changes the formats changes the page."""
    text = PROTOCOL_PAGE.read_text(encoding="utf-8")
    versions = re.findall(r"^`PROTOCOL_VERSION = (\d+)`$", text, flags=re.MULTILINE)
    assert versions == [str(PROTOCOL_VERSION)]


def test_the_changelog_begins_with_this_version() -> None:
    """The newest entry of the changelog is the version of the package."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[([^\]]+)\]", text, flags=re.MULTILINE)
    assert versions[0] == syncgov.__version__


def test_the_package_takes_its_version_from_the_module() -> None:
    """There is one place to change the version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "syncgov/__init__.py"


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "tests/README.md"])
def test_every_link_to_a_file_leads_somewhere(name: str) -> None:
    """A moved file takes the links to it along."""
    page = ROOT / name
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]


def test_contributing_names_only_what_exists() -> None:
    """Every path in the table "to change X, open Y" is there."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:syncgov|portal|tests)/[\w./*-]*)`", text)
    assert len(paths) > 10
    assert not [path for path in paths if not list(ROOT.glob(path.rstrip("/")))]


def test_no_file_names_a_folder_of_one_machine() -> None:
    """What is published must make sense on any machine."""
    files = [path for path in tracked() if path.relative_to(ROOT).parts[0] not in {".ci", "tests"}]
    assert len(files) > 40
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in files
        if (match := MACHINE_PATH.search(path.read_text(encoding="utf-8", errors="replace")))
    ]
    assert not found


def test_the_benchmarks_page_shows_every_row_and_the_peers_that_are_installed() -> None:
    """The page has each of the seven rows with its goal, and names the versions that the Makefile installs."""
    page = (ROOT / "portal" / "content" / "benchmarks.md").read_text(encoding="utf-8")
    goals = dict(re.findall(r"^\| ([1-7]) \|.*\| ([≥≤] [0-9.]+×) \|", page, flags=re.MULTILINE))
    assert goals == dict(zip("1234567", "≥ 15×,≥ 0.8×,≥ 0.6×,≥ 0.3×,≤ 1.5×,≥ 0.6×,≤ 1.2×".split(","), strict=True))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (pinned,) = re.findall(r"^PEER_VERSIONS := (.+)$", makefile, flags=re.MULTILINE)
    versions = [each.split("==") for each in pinned.split()]
    assert len(versions) == 3
    assert not [name for name, number in versions if f"{name} {number}".lower() not in page.lower()]
