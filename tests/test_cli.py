"""The command line on real files and a real centre: what is printed, in which language, and the exit code."""

import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from syncgov import errors
from syncgov.cli import root
from syncgov.cli.app import EXIT_CODES, exit_code
from tests.helpers import served

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
AREA = "620502007"
GRID = f"{AREA}001001"
DRAFT = f"name: 测试街道\norigin: test.example/log\narea: '{AREA}'\nsimulated: true\n"
CHINESE, ENGLISH = {"LC_ALL": "zh_CN.UTF-8"}, {"LC_ALL": "en_US.UTF-8"}
EVENT = (
    "INSERT INTO event(grid_id, occurred_at, source, category, title, state) "
    f"VALUES ('{GRID}', '2026-11-20T10:00:00+08:00', 'cadre', 'wuye', '路灯不亮', 'reported')"
)


def run(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    """Run a command in this process; an exception that is no exit is a bug and comes through."""
    done = CliRunner(env={"LC_ALL": "", "LC_MESSAGES": "", "LANG": "", **(env or ENGLISH)}).invoke(
        root, list(map(str, arguments)), prog_name="syncgov"
    )
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def good(*arguments: str | Path) -> Result:
    """Run a command that must succeed."""
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    return done


def answer(*arguments: str | Path) -> Any:
    """Run a command with --json and return what it says."""
    return json.loads(good(*arguments, "--json").stdout)


def write_sql(replica: Path, *statements: str) -> None:
    """Write a replica as any other program would."""
    with closing(sqlite3.connect(replica, isolation_level=None)) as conn:
        for statement in statements:
            conn.execute(statement)


def new_centre(folder: Path, *options: str | Path) -> Path:
    """Make a centre through the command line."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "charter.yml").write_text(DRAFT, encoding="utf-8")
    good("init", folder / "centre", "--charter", folder / "charter.yml", *options)
    return folder / "centre"


def code(centre: Path, role: str = "grid_worker", *people: str) -> str:
    """Return an enrolment code."""
    staff = [word for person in people for word in ("--staff", person)]
    return str(answer("enrol", centre, "--role", role, "--area", GRID, *staff)["codes"][0])


@dataclass(frozen=True, slots=True)
class Street:
    """A centre that is being served."""

    centre: Path
    url: str


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """One real centre process for all tests of this file."""
    centre = new_centre(tmp_path_factory.mktemp("street"))
    with served(centre) as url:
        yield Street(centre, url)


@pytest.fixture
def replica(street: Street, tmp_path: Path) -> Path:
    """A grid worker's device that has joined."""
    path = tmp_path / "my.db"
    good("join", path, "--url", street.url, "--code", code(street.centre))
    return path


# -- help, languages, exit codes --------------------------------------------------------------------------------------


def every_command(group: click.Group = root, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from every_command(command, (*prefix, name))
        else:
            yield (*prefix, name)


@pytest.mark.parametrize("words", list(every_command()), ids=" ".join)
def test_every_command_has_help_with_an_example_in_both_languages(words: tuple[str, ...]) -> None:
    """Help names the options for machines and for silence, and shows one whole command line."""
    for env, example in ((ENGLISH, "Example:"), (CHINESE, "例子：")):
        text = run(*words, "--help", env=env).output
        assert f"syncgov {' '.join(words)} " in text.partition(example)[2]
        assert "--json" in text
        assert "--quiet" in text
        assert not re.search("[\x02\x03\x1f]", text)
    assert re.search("[\u4e00-\u9fff]", run(*words, "--help", env=CHINESE).output)
    assert not re.search("[\u4e00-\u9fff]", run(*words, "--help", env=ENGLISH).output)


def test_the_commands_are_those_of_the_design() -> None:
    """Names are a contract; nothing is there before it works."""
    expected = (
        "init load enrol revoke renew charter staff serve backup restore close-log "
        "join attach commit sync bundle receive status conflicts resolve resubmit adopt "
        "rejoin review publish browse audit prove verify sheet erase withhold fsck import register demo"
    )
    assert list(root.commands) == expected.split()


def test_the_examples_of_the_help_pages_are_valid() -> None:
    """Every example parses: command, arguments and options exist."""
    seen = 0
    for words in every_command():
        command: click.Command = root
        for word in words:
            assert isinstance(command, click.Group)
            command = command.commands[word]
        for line in (command.epilog or "").splitlines():
            if line.strip().startswith("syncgov "):
                arguments = shlex.split(line)[1 + len(words) :]
                command.make_context(" ".join(words), arguments, resilient_parsing=False).close()
                seen += 1
    assert seen >= 18


@pytest.mark.parametrize(
    ("env", "language"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_TW"}, "zh"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": ""}, "en"),
    ],
)
def test_the_locale_decides_the_language_of_errors(env: dict[str, str], language: str, tmp_path: Path) -> None:
    """LC_ALL before LC_MESSAGES before LANG; Chinese if it begins with zh, otherwise English."""
    done = run("status", tmp_path / "none.db", env=env)
    assert done.exit_code == 74
    assert done.stdout == ""
    assert done.stderr.startswith("找不到文件" if language == "zh" else "no such file")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.FormatError("x", "y"), 65),
        (errors.LimitError("x", "y"), 65),
        (errors.CommitmentError("x", "y"), 65),
        (errors.InputError("x", "y"), 65),
        (errors.RegisterError("f", 1, "x", "y"), 65),
        (errors.ForkError("x", "y"), 65),
        (errors.RollbackError(2, 1), 65),
        (errors.ProofError("x"), 65),
        (errors.AuditError("x", "y"), 1),
        (errors.TransportError("x", "y"), 69),
        (errors.StorageError("x", "y"), 74),
        (errors.SignatureError("x"), 77),
        (errors.NotAllowedError("x", "y"), 77),
        (errors.UnknownDeviceError("x"), 77),
        (errors.RemoteError("not-allowed", "x", 403), 77),
        (errors.RemoteError("limit", "x", 413), 65),
        (errors.RemoteError("error", "x", 500), 69),
    ],
)
def test_each_error_has_its_exit_code(error: errors.SyncgovError, expected: int) -> None:
    """One table, the contract of the design."""
    assert exit_code(error) == expected


def test_no_error_class_is_without_exit_code() -> None:
    """A new class falls under one that is listed."""
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.SyncgovError)]
    assert len(classes) > 12
    assert all(any(issubclass(c, kind) for kind, _code in EXIT_CODES) for c in classes)


@pytest.mark.parametrize(
    ("arguments", "chinese", "english"),
    [
        (["enroll"], "没有命令 'enroll'", "No such command 'enroll'"),
        (["join", "a.db", "--url", "x"], "缺少 '--code'", "Missing option '--code'"),
        (["commit"], "缺少 'REPLICA'", "Missing argument 'REPLICA'"),
        (["sync", "a.db", "--stuff", "x"], "没有选项 --stuff", "No such option '--stuff'"),
        (["serve", "c", "--port", "99999"], "不在 0<=x<=65535 之内", "99999 is not in the range"),
        (["status", "a", "b"], "多余的参数：b", "unexpected extra argument"),
    ],
)
def test_wrong_usage_is_2_in_both_languages(arguments: list[str], chinese: str, english: str) -> None:
    """The line of usage and what is wrong with it."""
    for env, text in ((CHINESE, chinese), (ENGLISH, english)):
        done = run(*arguments, env=env)
        assert done.exit_code == 2
        assert text in done.stderr
        assert done.stdout == ""


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What nobody expected comes with its traceback."""
    monkeypatch.setattr("syncgov.cli.field.Replica.open", lambda _path: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        run("status", tmp_path / "my.db")


def test_a_command_of_the_centre_on_a_field_device_says_what_to_install(tmp_path: Path) -> None:
    """Without the extras: one sentence, no traceback."""
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['starlette', 'uvicorn']))\n"
        f"sys.argv = ['syncgov', 'serve', {str(tmp_path)!r}]; from syncgov.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **ENGLISH}
    )
    assert (done.returncode, done.stdout) == (69, "")
    assert "syncgov[centre,publish]" in done.stderr
    assert "Traceback" not in done.stderr


# -- the centre -------------------------------------------------------------------------------------------------------


def test_init_makes_a_centre_and_tells_what_to_do_with_the_root_keys(tmp_path: Path) -> None:
    """The keys are there, and the user is told to take them away."""
    centre = new_centre(tmp_path)
    assert list((centre / "roots").glob("*.key"))
    done = run("init", centre, "--charter", tmp_path / "charter.yml", env=CHINESE)
    assert done.exit_code == 74
    again = tmp_path / "two"
    done = run("init", again, "--charter", tmp_path / "charter.yml", env=CHINESE)
    assert done.exit_code == 0
    assert "离线" in done.stdout
    assert str(again / "roots") in done.stdout


@pytest.mark.parametrize("text", ["[1]", "name: x", "name: [", "name: x\norigin: y\narea: z\nking: 1\n", ""])
def test_a_bad_charter_draft_is_refused(tmp_path: Path, text: str) -> None:
    """65, the file named, and no centre left behind."""
    (tmp_path / "c.yml").write_text(text)
    done = run("init", tmp_path / "centre", "--charter", tmp_path / "c.yml")
    assert done.exit_code == 65
    assert "c.yml" in done.stderr
    assert not (tmp_path / "centre").exists()


def test_a_bad_register_stops_init_with_file_and_line(tmp_path: Path) -> None:
    """The remedy is in the sentence; nothing was made."""
    folder = tmp_path / "registers"
    folder.mkdir()
    text = (ROOT / "examples" / "trees" / "street_tree.yml").read_text().replace("merge: max", "merge: most")
    (folder / "street_tree.yml").write_text(text)
    (tmp_path / "charter.yml").write_text(DRAFT, encoding="utf-8")
    done = run("init", tmp_path / "centre", "--charter", tmp_path / "charter.yml", "--registers", folder)
    assert done.exit_code == 65
    assert re.search(r"street_tree\.yml:\d+: .*max", done.stderr)
    assert not (tmp_path / "centre").exists()


def test_load_names_row_and_column_and_loads_nothing(tmp_path: Path) -> None:
    """A CSV with one bad cell leaves the log as it was; without it everything is there."""
    centre = new_centre(tmp_path)
    text = f"网格编码,区划编码,层级,名称,户数\n{AREA},{AREA},街道,测试街道,\n{GRID},{GRID},网格,一网格,一百\n"
    (tmp_path / "grids.csv").write_text(text, encoding="utf-8")
    done = run("load", centre, "grid_unit", tmp_path / "grids.csv", env=CHINESE)
    assert (done.exit_code, done.stdout) == (65, "")
    assert "grids.csv 第 3 行：“户数”（households）" in done.stderr
    with closing(sqlite3.connect(centre / "central.db")) as conn:
        assert conn.execute("SELECT count(*) FROM grid_unit").fetchone() == (0,)
    (tmp_path / "grids.csv").write_text(text.replace("一百", "100"), encoding="utf-8")
    assert answer("load", centre, "grid_unit", tmp_path / "grids.csv") == {"rows": 2, "changesets": 2}


def test_enrol_prints_codes_and_nothing_else_when_quiet(tmp_path: Path) -> None:
    """Each code stands on a line of its own, so that a script can read them."""
    centre = new_centre(tmp_path)
    done = good("enrol", centre, "--role", "grid_worker", "--area", GRID, "--count", "3", "-q")
    lines = done.stdout.splitlines()
    assert len(set(lines)) == 3
    assert all(re.fullmatch(r"[2-9A-Z]{4}(-[2-9A-Z]{4}){2}", line) for line in lines)
    found = answer("enrol", centre, "--role", "operator", "--role", "checker", "--area", GRID, "--staff", "S9")
    assert (found["roles"], found["areas"], found["people"]) == (["operator", "checker"], [GRID], ["S9"])
    assert run("enrol", centre, "--role", "king", "--area", GRID).exit_code == 65
    assert run("enrol", centre, "--role", "operator", "--area", "999").exit_code == 65
    assert run("enrol", tmp_path, "--role", "operator", "--area", GRID).exit_code == 74


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_where_and_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    """The address is printed when requests are taken; Ctrl-C and SIGTERM end it with 0 and without a traceback."""
    centre = new_centre(tmp_path)
    command = [sys.executable, "-m", "syncgov", "serve", str(centre), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        found = json.loads(server.stdout.readline())
        assert found["pid"] == server.pid
        good("join", tmp_path / "my.db", "--url", found["url"], "--code", code(centre))
        server.send_signal(number)
        assert server.wait(timeout=20) == 0
        assert server.stderr.read() == ""


def test_serve_where_there_is_no_centre_is_a_storage_error(tmp_path: Path) -> None:
    """It says what to run first."""
    done = run("serve", tmp_path)
    assert done.exit_code == 74
    assert "syncgov init" in done.stderr


# -- a worker's device ------------------------------------------------------------------------------------------------


def test_the_day_of_the_readme_runs_as_written(street: Street, tmp_path: Path) -> None:
    """Whoever pastes the block gets a signed, accepted event; only address, code and person are filled in."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = [b for b in re.findall(r"```sh\n(.*?)```", readme, flags=re.DOTALL) if "syncgov join" in b]
    block = block.replace("http://127.0.0.1:8600", street.url).replace("--staff ID", "--staff W1")
    block = block.replace("--code CODE", f"--code {code(street.centre, 'grid_worker', 'W1', 'W2')}")
    environment = {**os.environ, **CHINESE, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "已送达 1 条" in done.stdout
    with closing(sqlite3.connect(street.centre / "central.db")) as conn:
        assert conn.execute("SELECT count(*) FROM event WHERE title = '三单元楼道堆放杂物'").fetchone() == (1,)


def test_join_with_a_wrong_or_used_code_is_not_allowed(street: Street, tmp_path: Path) -> None:
    """77, and no half replica; the same file joins with a good code."""
    path = tmp_path / "my.db"
    done = run("join", path, "--url", street.url, "--code", "WRONG", env=CHINESE)
    assert done.exit_code == 77
    assert "登记码" in done.stderr
    assert not path.exists()
    once = code(street.centre)
    good("join", path, "--url", street.url, "--code", once)
    assert run("join", tmp_path / "other.db", "--url", street.url, "--code", once).exit_code == 77
    assert run("join", path, "--url", street.url, "--code", once).exit_code == 74


def test_commit_sync_status_tell_what_became_of_a_change(street: Street, replica: Path) -> None:
    """From the table to the centre, in both languages and for machines."""
    write_sql(replica, EVENT)
    assert "未签名 1 条" in run("status", replica, env=CHINESE).output
    assert answer("commit", replica)["signed"][0][:2] == [1, "event"]
    assert answer("status", replica)["counts"] == {
        "unsigned": 0,
        "unsent": 1,
        "delivered": 0,
        "waiting": 0,
        "refused": 0,
    }
    found = answer("sync", replica)
    assert (found["pushed"], found["accepted"], found["refused"], found["problems"]) == (1, 1, [], [])
    assert "已送达 1 条" in run("status", replica, env=CHINESE).output
    assert "1 delivered" in run("status", replica, env=ENGLISH).output
    assert good("sync", replica, "-q").output == ""


def test_a_refused_change_is_reported_and_the_sync_is_done(street: Street, replica: Path) -> None:
    """Exit 0: the sync worked. The reason and what to do are printed, by sync and by status."""
    write_sql(replica, EVENT.replace("路灯不亮", "要被退回的"))
    good("sync", replica)
    write_sql(replica, "UPDATE event SET state = 'archived' WHERE title = '要被退回的'")
    done = run("sync", replica, env=CHINESE)
    assert done.exit_code == 0
    for text in ("被退回 1", "原因：现在的办理状态不能这样流转", "办法：", "办理进度：状态 已归档"):
        assert text in done.output
        assert text in run("status", replica, env=CHINESE).output
    change = answer("status", replica)["changes"][0]
    assert (change["stage"], change["code"], change["values"]) == (
        "refused",
        "transition",
        [["办理进度", "状态 已归档"]],
    )


def test_a_commit_that_leaves_problems_signs_the_rest_and_is_65(street: Street, replica: Path) -> None:
    """The bad row stays in its table and is named; the good one is signed and syncs."""
    incomplete = EVENT.replace("'路灯不亮'", "NULL")
    write_sql(replica, EVENT.replace("路灯不亮", "完整的一件"), incomplete)
    done = run("commit", replica, env=CHINESE)
    assert done.exit_code == 65
    assert "已签名 1 条变更" in done.stdout
    assert "缺少必填项" in done.stderr
    done = run("sync", replica, "--json")
    assert done.exit_code == 65
    found = json.loads(done.stdout)
    assert (found["accepted"], len(found["problems"])) == (1, 1)
    with closing(sqlite3.connect(replica)) as conn:
        assert conn.execute("SELECT count(*) FROM event WHERE title IS NULL").fetchone() == (1,)


def test_unsigned_work_on_a_shared_device_needs_a_person(street: Street, tmp_path: Path) -> None:
    """77 without --staff and with somebody else's id; nothing is sent under a wrong name."""
    path = tmp_path / "shared.db"
    good("join", path, "--url", street.url, "--code", code(street.centre, "grid_worker", "S1", "S2"))
    assert good("sync", path).exit_code == 0
    write_sql(path, EVENT)
    for command in ("commit", "sync"):
        done = run(command, path, env=CHINESE)
        assert done.exit_code == 77
        assert "--staff" in done.stderr
        assert run(command, path, "--staff", "S3").exit_code == 77
    assert answer("sync", path, "--staff", "S2")["accepted"] == 1


def test_an_unreachable_centre_is_69_and_nothing_is_lost(street: Street, replica: Path) -> None:
    """The work is signed and goes with the next sync."""
    write_sql(replica, EVENT)
    done = run("sync", replica, "--url", "http://127.0.0.1:9", env=CHINESE)
    assert done.exit_code == 69
    assert "仍在本机" in done.stderr
    assert answer("sync", replica)["accepted"] == 1


def test_a_file_that_is_no_replica_is_74(tmp_path: Path) -> None:
    """A text file, an empty database, a folder."""
    text, empty = tmp_path / "a.db", tmp_path / "b.db"
    text.write_text("not a database " * 100)
    sqlite3.connect(empty).close()
    empty.write_bytes(b"")
    for path in (text, empty, tmp_path):
        for command in ("status", "commit", "sync", "conflicts"):
            done = run(command, path)
            assert done.exit_code == 74, (path, command, done.output)
            assert len(done.stderr.splitlines()) == 1


def test_conflicts_are_shown_with_words(street: Street, tmp_path: Path) -> None:
    """Two devices, one field, both values: what shows, who wrote, who decides."""
    paths = [tmp_path / "one.db", tmp_path / "two.db"]
    for number, path in enumerate(paths):
        good("join", path, "--url", street.url, "--code", code(street.centre, "grid_worker", f"W{number}"))
    write_sql(paths[0], EVENT.replace("路灯不亮", "冲突的一件"))
    for path in paths:
        good("sync", path)
    for path, kind in zip(paths, ("anquan", "jiaotong"), strict=True):
        write_sql(path, f"UPDATE event SET category = '{kind}' WHERE title = '冲突的一件'")
    for path in (*paths, paths[0]):
        good("sync", path)
    text = run("conflicts", paths[0], env=CHINESE).output
    for words in ("事件“冲突的一件” 类别", "由 综治平台操作员 裁定", "安全生产  W0  本终端", "道路交通  W1  终端"):
        assert words in text
    found = answer("conflicts", paths[1])["conflicts"]
    assert [v["value"] for v in found[0]["versions"]] == ["安全生产", "道路交通"]
    assert answer("status", paths[0])["conflicts"] >= 1
    assert "decides" in run("conflicts", paths[0]).output


def test_field_commands_work_without_the_extras(street: Street, replica: Path) -> None:
    """commit, sync, status and conflicts run when no package of the centre or the publisher can be imported."""
    write_sql(replica, EVENT)
    names = ["starlette", "uvicorn", "datasette", "mkdocs", "material"]
    for command in ("commit", "sync", "status", "conflicts"):
        program = (
            f"import sys; sys.modules.update(dict.fromkeys({names}))\n"
            f"sys.argv = ['syncgov', {command!r}, {str(replica)!r}]; from syncgov.cli import main; main()"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout


# -- registers and other systems' data --------------------------------------------------------------------------------


def test_register_check_names_file_line_and_remedy(tmp_path: Path) -> None:
    """Good files are listed; of bad ones each is named."""
    tree = ROOT / "examples" / "trees" / "street_tree.yml"
    assert "good" in good("register", "check", tree).stdout
    bad = tmp_path / "bad.yml"
    bad.write_text(tree.read_text().replace("type: date,", "type: dat,", 1))
    done = run("register", "check", tree, bad, tmp_path / "missing.yml")
    assert done.exit_code == 65
    assert re.search(r"bad\.yml:\d+: .*date", done.stderr)
    assert "missing.yml" in done.stderr
    found = run("register", "check", tree, bad, "--json")
    assert json.loads(found.stdout)["good"] is False


def test_register_check_follows_references(tmp_path: Path) -> None:
    """A reference to a built-in register or a neighbour is fine, one to nowhere is not."""
    tree = (ROOT / "examples" / "trees" / "street_tree.yml").read_text()
    path = tmp_path / "street_tree.yml"
    path.write_text(tree.replace("max_length: 60, required", "ref: grid_unit, required"))
    good("register", "check", path)
    path.write_text(tree.replace("max_length: 60, required", "ref: nowhere, required"))
    done = run("register", "check", path)
    assert done.exit_code == 65
    assert "nowhere" in done.stderr


def test_register_check_runs_figures_and_names_roles_and_the_folder(tmp_path: Path) -> None:
    """SQL that could not be published, a misspelt role: the complaint has the file as it was given."""
    event = (ROOT / "syncgov" / "registers" / "event.yml").read_text()
    path = tmp_path / "event.yml"
    path.write_text(event)
    good("register", "check", path)
    path.write_text(event.replace("FROM event WHERE state = 'void'", "FROM visit"))
    done = run("register", "check", path)
    assert (done.exit_code, f"{path}:" in done.stderr, "no such table: visit" in done.stderr) == (65, True, True)
    path.write_text(event.replace("to: rejected, roles: [operator]", "to: rejected, roles: [operater]"))
    done = run("register", "check", path)
    assert (done.exit_code, f"{path}:" in done.stderr, "Did you mean 'operator'" in done.stderr) == (65, True, True)


def test_register_show_lists_columns_and_steps(replica: Path) -> None:
    """By name, by file, and as active in a replica."""
    assert "category" in good("register", "show", "event").stdout
    found = answer("register", "show", ROOT / "examples" / "trees" / "street_tree.yml")
    assert [c["name"] for c in found["columns"]][:2] == ["district", "species"]
    assert answer("register", "show", "event", "--replica", replica)["register"] == "event"
    assert run("register", "show", "nothing").exit_code == 65
    assert run("register", "show", "nothing", "--replica", replica).exit_code == 65


def test_open311_goes_through_the_whole_pipeline(tmp_path: Path, shared: Path) -> None:
    """40 real requests: a centre whose only register is a YAML file, import, sync, central table, public database."""
    centre = new_centre(tmp_path, "--registers", ROOT / "examples" / "open311")
    file, path = shared / "data" / "open311_chicago.json", tmp_path / "desk.db"
    with served(centre) as url:
        intake = answer("enrol", centre, "--role", "intake", "--area", AREA)["codes"][0]
        good("join", path, "--url", url, "--code", intake)
        assert answer("import", "open311", file, path)["changesets"] == 40
        assert answer("sync", path)["accepted"] == 40
        assert answer("import", "open311", file, path)["changesets"] == 0
    with closing(sqlite3.connect(centre / "central.db")) as conn:
        assert conn.execute("SELECT count(*) FROM service_request").fetchone() == (40,)
    entries = json.loads(file.read_text())
    entries[6]["requested_datetime"] = "soon"
    (tmp_path / "bad.json").write_text(json.dumps(entries))
    done = run("import", "open311", tmp_path / "bad.json", path)
    assert done.exit_code == 65
    assert "bad.json: entry 7, requested_datetime" in done.stderr


# -- what is public ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A small published folder, its charter, and the key of its one event."""
    folder = tmp_path_factory.mktemp("public")
    centre = new_centre(folder)
    with served(centre) as url:
        good("join", folder / "my.db", "--url", url, "--code", code(centre))
        write_sql(folder / "my.db", EVENT)
        good("sync", folder / "my.db")
    good("publish", centre, folder / "out")
    with closing(sqlite3.connect(folder / "my.db")) as conn:
        (key,) = conn.execute("SELECT id FROM event").fetchone()
    return folder / "out", centre / "charter.json", str(key)


def test_publish_then_audit_holds(public: tuple[Path, Path, str]) -> None:
    """From the folder and the charter alone: exit 0, and what was checked is counted."""
    out, charter, _key = public
    found = answer("audit", out, "--charter", charter)
    assert (found["ok"], found["findings"]) == (True, [])
    assert found["counts"]["entries"] > 10
    assert "核对通过" in run("audit", out, "--charter", charter, env=CHINESE).stdout


def test_audit_finds_a_changed_cell(public: tuple[Path, Path, str], tmp_path: Path) -> None:
    """Exit 1, the finding printed; the same for machines."""
    out, charter, _key = public
    copy = shutil.copytree(out, tmp_path / "copy")
    write_sql(copy / "public.db", "UPDATE event SET category = 'anquan'")
    done = run("audit", copy, "--charter", charter, env=CHINESE)
    assert done.exit_code == 1
    assert "✗" in done.stdout
    done = run("audit", copy, "--charter", charter, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["findings"]
    assert run("audit", tmp_path).exit_code == 1


def test_prove_and_verify_one_record(public: tuple[Path, Path, str], tmp_path: Path) -> None:
    """The proof says what it proves and what it does not; a changed one is 1, a damaged one 65."""
    out, charter, key = public
    proof = tmp_path / "proof.json"
    good("prove", out, "event", key, "-o", proof)
    assert good("prove", out, "event", key).stdout_bytes == proof.read_bytes()
    text = run("verify", proof, "--charter", charter, env=CHINESE).output
    assert "验证通过" in text
    assert "没有证明" in text
    found = answer("verify", proof, "--charter", charter)
    assert (found["verified"], found["table"], found["key"]) == (True, "event", key)
    changed = tmp_path / "changed.json"
    changed.write_bytes(proof.read_bytes().replace(b'"wuye"', b'"anqu"'))
    done = run("verify", changed)
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    changed.write_bytes(proof.read_bytes()[:100])
    assert run("verify", changed).exit_code == 65
    assert run("verify", tmp_path / "missing.json").exit_code == 65
    assert run("prove", out, "event", "nothing").exit_code == 1


def test_sheet_prints_a_hash_that_verify_accepts(public: tuple[Path, Path, str], tmp_path: Path) -> None:
    """What stands on the paper, typed with spaces and capitals, is found; another hash is 1, a word 65."""
    out, charter, _key = public
    (page,) = map(Path, answer("sheet", out, tmp_path / "sheets")["files"][:1])
    groups = re.findall(r"<span>([0-9a-f]{4})</span>", page.read_text(encoding="utf-8"))
    typed = " ".join(groups).upper()
    found = answer("verify", "--hash", typed, out, "--charter", charter)
    assert found["verified"]
    assert found["size"] == found["now"]
    assert "校验码相符" in run("verify", "--hash", typed, out, env=CHINESE).stdout
    assert run("verify", "--hash", typed[:-1] + ("0" if typed[-1] != "0" else "1"), out).exit_code == 1
    assert run("verify", "--hash", "hello", out).exit_code == 65
    assert run("sheet", out, tmp_path / "sheets", "--month", "2019-01").exit_code == 65
    assert run("sheet", tmp_path, tmp_path / "sheets").exit_code == 65


def test_browse_serves_the_folder_until_it_is_stopped(public: tuple[Path, Path, str], tmp_path: Path) -> None:
    """Datasette and portal answer on one address of this machine."""
    import requests

    command = [sys.executable, "-m", "syncgov", "browse", str(public[0]), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        found = json.loads(server.stdout.readline())
        with requests.Session() as session:
            session.trust_env = False
            assert [session.get(found[name], timeout=20).status_code for name in ("portal", "data")] == [200, 200]
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=20) == 0
    assert run("browse", tmp_path).exit_code == 74
