"""Loading CSV and JSON: all rows or none, and errors that name file, row and column."""

import json
from pathlib import Path

import pytest

from syncgov.errors import FormatError, InputError, NotAllowedError, StorageError
from syncgov.importers.tables import Loaded, load, load_replica
from tests.helpers import EAST, World
from tests.registers import registers as small_registers

PLACES = Path(__file__).parents[2] / "syncgov" / "registers" / "grid_unit.yml"
HEADER = "网格编码,区划编码,层级,名称,户数"
GOOD = f"{HEADER}\n101,101,街道,测试街道,\n101001,101001,网格,东网格,120\n"


@pytest.fixture
def world(tmp_path: Path):
    """A world that also has the built-in register of grids, which only the registrar writes."""
    from syncgov.storage.files import read_register

    with World.make(tmp_path / "world", [*small_registers(), read_register(PLACES)]) as made:
        yield made


def write(folder: Path, name: str, text: str | bytes) -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def central_rows(world: World) -> list[tuple[object, ...]]:
    """Return the central table of grids."""
    sql = "SELECT code, level, name, households FROM grid_unit ORDER BY code"
    return world.centre.ledger.conn.execute(sql).fetchall()


def test_a_csv_with_chinese_labels_is_loaded_into_a_centre(world: World, tmp_path: Path) -> None:
    """Labels and codes, an empty cell, and a second load that changes nothing."""
    file = write(tmp_path, "grids.csv", "\ufeff" + GOOD.replace("\n", "\r\n"))
    assert load(world.centre.path, "grid_unit", file) == Loaded(2, 2)
    assert central_rows(world) == [("101", "town", "测试街道", None), ("101001", "grid", "东网格", 120)]
    assert load(world.centre.path, "grid_unit", file) == Loaded(2, 0)


def test_a_row_that_is_there_is_changed_only_where_the_file_says(world: World, tmp_path: Path) -> None:
    """A file with two columns leaves the others as they are, and need not repeat what is required."""
    load(world.centre.path, "grid_unit", write(tmp_path, "a.csv", GOOD))
    changes = write(tmp_path, "b.json", json.dumps([{"code": "101001", "households": 130}]))
    assert load(world.centre.path, "grid_unit", changes) == Loaded(1, 1)
    assert central_rows(world)[1] == ("101001", "grid", "东网格", 130)


@pytest.mark.parametrize(
    ("text", "row", "column"),
    [
        (GOOD.replace("120", "一百"), "第 3 行", "“户数”（households）"),
        (GOOD.replace("网格,东", "村庄,东"), "第 3 行", "“层级”（level）"),
        (GOOD.replace(",东网格,", ",,"), "第 3 行", "“名称”（name）必填"),
        (GOOD.replace("101001,101001", ",101001"), "第 3 行", "网格编码"),
        (GOOD + "101001,101001,网格,又一个,\n", "第 4 行", "网格编码 101001 与第 3 行重复"),
        (GOOD + "101002,101002,网格\n", "第 4 行", "有 3 栏，应为 5 栏"),
        (GOOD + "101002,101002,网格,西,1,多\n", "第 4 行", "有 6 栏"),
        (GOOD.replace("户数", "人家"), "第 1 行", "没有“人家”这一栏；可用：网格编码（code）、区划编码（area）"),
        (GOOD.replace("户数", "code"), "第 1 行", "“code”一栏重复，“网格编码”已经有了"),
        (GOOD.replace("120", "-1"), "第 3 行", "“户数”（households）不能小于 0"),
        (GOOD.replace("101001,101001", "101001,201001"), "第 3 行", "（area）201001 不在本中心的区划 101 内"),
        (GOOD.replace("户数", "上级").replace("120", "102"), "第 3 行", "“上级”（parent）102 不在网格单元里"),
        (GOOD.replace("户数", "名称"), "第 1 行", "“名称”重复"),
        (GOOD.replace("户数", "name"), "第 1 行", "“name”一栏重复，“名称”已经有了"),
        (GOOD.replace("户数", ""), "第 1 行", "第 5 栏没有栏名"),
        (GOOD.replace("东网格", "x" * 61), "第 3 行", "最多 60 字"),
        (GOOD.replace("东网格", '"东网'), "不是正确的 CSV", ""),
        (HEADER + "\n", "没有数据行", ""),
        ("", "空的", ""),
    ],
)
def test_a_bad_csv_names_row_and_column_and_loads_nothing(
    world: World, tmp_path: Path, text: str, row: str, column: str
) -> None:
    """Whatever is wrong in one place, nothing of the file is in the log."""
    before = world.centre.ledger.size
    with pytest.raises(InputError) as caught:
        load(world.centre.path, "grid_unit", write(tmp_path, "bad.csv", text))
    assert "bad.csv" in caught.value.zh
    assert row in caught.value.zh
    assert column in caught.value.zh
    assert world.centre.reader().size == before


def test_a_file_that_is_not_utf8_says_how_to_save_it(world: World, tmp_path: Path) -> None:
    """Spreadsheets in China save GB18030 unless told otherwise; guessing would put mojibake into a log for ever."""
    with pytest.raises(InputError, match="line 1 is not UTF-8") as caught:
        load(world.centre.path, "grid_unit", write(tmp_path, "a.csv", GOOD.encode("gb18030")))
    assert "CSV UTF-8" in caught.value.zh


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{}", "array of objects"),
        ("[1]", "entry 1 is not an object"),
        ('[{"code": "1", "code": "2"}]', "member 'code' is there twice"),
        ('[{"code": NaN}]', "NaN is not JSON"),
        ('[{"code": "1"', "line 1, column"),
        ("[" * 100_000, "is not JSON for a table"),
        ('[{"code": ["1"], "name": "x"}]', "row 1: code must be text"),
        ('[{"code": "101", "area": "101", "level": "town", "name": "x", "households": 1.5}]', "column households"),
    ],
)
def test_bad_json_is_named(world: World, tmp_path: Path, text: str, what: str) -> None:
    """Malformed JSON, doubled members and wrong types are refused with their place."""
    with pytest.raises(InputError, match=what):
        load(world.centre.path, "grid_unit", write(tmp_path, "a.json", text))
    assert central_rows(world) == []


def test_other_files_and_tables_are_refused(world: World, tmp_path: Path) -> None:
    """A wrong ending, a register that is not there, a system register, a folder that is no centre."""
    with pytest.raises(InputError, match=r"neither \.csv, \.json"):
        load(world.centre.path, "grid_unit", write(tmp_path, "a.xlsx", b"PK"))
    with pytest.raises(InputError, match="no register named nothing"):
        load(world.centre.path, "nothing", write(tmp_path, "a.csv", GOOD))
    with pytest.raises(NotAllowedError, match="system itself"):
        load(world.centre.path, "device", write(tmp_path, "a.csv", GOOD))
    with pytest.raises(InputError, match="cannot read"):
        load(world.centre.path, "grid_unit", tmp_path / "missing.csv")
    with pytest.raises(StorageError):
        load(tmp_path, "grid_unit", write(tmp_path, "a.csv", GOOD))


def test_a_huge_file_is_refused(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits are limits of bytes and of rows."""
    monkeypatch.setattr("syncgov.importers.files.MAX_FILE_BYTES", 100)
    with pytest.raises(FormatError, match="more than"):
        load(world.centre.path, "grid_unit", write(tmp_path, "a.csv", GOOD * 10))
    monkeypatch.setattr("syncgov.importers.files.MAX_FILE_BYTES", 10_000)
    monkeypatch.setattr("syncgov.importers.files.MAX_ROWS", 1)
    with pytest.raises(FormatError, match="more than 1 rows"):
        load(world.centre.path, "grid_unit", write(tmp_path, "a.csv", GOOD))


TASKS = "网格,日期,标题,状态\n101001,2026/11/20,路灯不亮,报\n101001,2026-11-20,井盖丢失,reported\n"


def test_a_csv_is_loaded_into_a_replica_signed(world: World, tmp_path: Path) -> None:
    """Each row is one changeset by the named person; the centre accepts them."""
    replica = world.device("worker", staff=("S1", "S2"))
    assert load_replica(replica, "task", write(tmp_path, "t.csv", TASKS), "S1") == Loaded(2, 2)
    done = world.sync(replica)
    assert (done.accepted, done.refused) == (2, [])
    found = world.centre.ledger.conn.execute("SELECT place, title FROM task ORDER BY title").fetchall()
    assert found == [(EAST, "井盖丢失"), (EAST, "路灯不亮")]


def test_a_bad_row_in_a_replica_leaves_nothing(world: World, tmp_path: Path) -> None:
    """The table, the chain and the hints are as before."""
    replica = world.device("worker")
    with pytest.raises(InputError, match="row 3: column started_on"):
        load_replica(replica, "task", write(tmp_path, "t.csv", TASKS.replace("2026-11-20", "gestern")))
    assert replica.conn.execute("SELECT count(*) FROM task").fetchone() == (0,)
    assert not replica.has_unsigned()
    assert replica.meta.get_int("last_seq") == 0


def test_a_role_that_may_not_write_is_told_at_once(world: World, tmp_path: Path) -> None:
    """A device does not sign what the centre would refuse."""
    replica = world.device("worker")
    with pytest.raises(NotAllowedError, match="may not write grid_unit"):
        load_replica(replica, "grid_unit", write(tmp_path, "g.csv", GOOD))


def test_a_person_that_may_not_use_the_device_is_refused(world: World, tmp_path: Path) -> None:
    """On a shared device somebody must be named, and must be one of its people."""
    replica = world.device("worker", staff=("S1", "S2"))
    file = write(tmp_path, "t.csv", TASKS)
    for person in (None, "S3"):
        with pytest.raises(NotAllowedError):
            load_replica(replica, "task", file, person)
    assert replica.conn.execute("SELECT count(*) FROM task").fetchone() == (0,)
