"""CSV, JSON and their description: anybody can load them, no spreadsheet runs them, no program loses a character."""

import csv
import hashlib
import io
import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from syncgov.audit.audit import audit
from syncgov.core.public_rows import Cell, make_table
from syncgov.core.register import RegisterSet, parse_register
from syncgov.publish.open_data import csv_bytes, json_bytes, write_open_data
from tests.audit.street import write_pages
from tests.hostile import FORMULAS, TEXTS
from tests.publish.place import CREW, LAMP, ODD_KEY, Place
from tests.publish.reading import cells

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own dependencies
    import frictionless

HOSTILE = [
    *FORMULAS, "'=1", "''", "'", "plain", "a=1", *(text for text in TEXTS.values() if "\x00" not in text), " ", "null",
    'a"b,c;d\r\ne',
]  # fmt: skip
METADATA = {"title": "甲", "description": "乙", "license": "CC BY 4.0", "license_url": "https://example.invalid/by"}


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def test_every_file_holds_its_table(place: Place) -> None:
    """Same rows, same order, same columns as public.db."""
    for table in ("lamp", "crew", "device", "figure", "label"):
        rows = cells(place.out, f'SELECT * FROM "{table}" ORDER BY rowid')
        found = [list(row.values()) for row in read(place.out / "data" / f"{table}.csv")]
        plain = [[cell.removeprefix("'") for cell in row] for row in found]
        assert plain == [["" if cell is None else str(cell) for cell in row] for row in rows]
        raw = (place.out / "data" / f"{table}.csv").read_bytes()
        assert (place.out / "data/excel" / f"{table}.csv").read_bytes() == b"\xef\xbb\xbf" + raw
        objects = json.loads((place.out / "data" / f"{table}.json").read_text(encoding="utf-8"))
        exact = [list(each.values()) for each in objects]
        texts = [
            [json.dumps(v, ensure_ascii=False, separators=(",", ":")) if isinstance(v, list) else v for v in row]
            for row in exact
        ]
        assert texts == [list(row) for row in rows]


def test_no_cell_is_a_formula_and_nothing_is_lost() -> None:
    """What a spreadsheet would run gets an apostrophe; taking one away gives every text back; numbers stay numbers."""
    rows: list[tuple[Cell, ...]] = [(text, -5) for text in HOSTILE]
    table = make_table("text number:INTEGER", "text", rows)
    found = list(csv.reader(io.StringIO(csv_bytes(table).decode(), newline="")))[1:]
    assert [row[0].removeprefix("'") for row in found] == HOSTILE
    assert [row[0][0] for row in found[:13]] == ["'"] * 13
    assert found[13:15] == [["plain", "-5"], ["a=1", "-5"]]
    assert {row[1] for row in found} == {"-5"}
    assert [each["text"] for each in json.loads(json_bytes(table, None))] == HOSTILE


def judged(folder: Path) -> list[str]:
    """Return what frictionless has against the package, its description and every row."""
    descriptor = str(folder / "datapackage.json")
    assert list(frictionless.Package.metadata_validate(json.loads(Path(descriptor).read_text(encoding="utf-8")))) == []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = frictionless.validate(descriptor)
    assert report.stats["tasks"] >= 2
    return [" ".join(map(str, error)) for error in report.flatten(["name", "rowNumber", "fieldName", "type", "note"])]


def test_frictionless_finds_nothing(place: Place) -> None:
    """The package and every row of every resource are valid: types, keys, references, hashes."""
    assert judged(place.out / "data") == []


def test_frictionless_would_find_something(place: Place, tmp_path: Path) -> None:
    """A code that is not declared, a reference to nobody, a key twice."""
    write(tmp_path, [("1", "bulb", "[]", "1"), ("1", "pole", "[]", "2")], crews=["1"])
    assert "primary-key" in " ".join(judged(tmp_path))
    text = (tmp_path / "lamp.csv").read_text(encoding="utf-8")
    (tmp_path / "lamp.csv").write_text(text.replace("pole", "lantern"), encoding="utf-8")
    assert "constraint-error" in " ".join(judged(tmp_path))


def write(folder: Path, lamps: list[tuple[Cell, ...]], crews: list[str]) -> dict[str, Any]:
    """Write lamps (key, kind, parts, crew) and crews; return the package's description of the lamps."""
    registers = RegisterSet([parse_register(LAMP, "lamp.yml"), parse_register(CREW, "crew.yml")])
    tables = dict.fromkeys(
        "figure figure_part label column withheld conflict declared obligation".split(), make_table("name", "name", ())
    )
    tables["lamp"] = make_table("key kind parts crew", "key", lamps)
    tables["crew"] = make_table("key name", "key", [(crew, crew) for crew in crews])
    meta = {"name": "丙", "as_of": "2026-11-21T18:30:00+08:00", "origin": "example.invalid/log", "simulated": "1"}
    tables["meta"] = make_table("key value", "key", meta.items())
    write_open_data(folder, tables, registers, METADATA | {"source": "丁"})
    package = json.loads((folder / "datapackage.json").read_text(encoding="utf-8"))
    (found,) = [each for each in package["resources"] if each["name"] == "lamp"]
    return found["schema"]


def test_the_package_promises_only_what_the_rows_hold(tmp_path: Path) -> None:
    """A code and a record that have gone, a list that was a text: the package stays valid and says less."""
    good = write(tmp_path / "good", [("1", "bulb", "[]", "1"), ("2", None, None, None)], crews=["1"])
    assert judged(tmp_path / "good") == []
    assert [field["type"] for field in good["fields"]] == ["string", "string", "array", "string"]
    assert good["fields"][1]["constraints"] == {"enum": ["bulb", "pole"]}
    assert good["foreignKeys"]
    old = write(tmp_path / "old", [("1", "lantern", "灯泡", "7")], crews=["1"])
    assert judged(tmp_path / "old") == []
    assert [field["type"] for field in old["fields"]] == ["string"] * 4
    assert "constraints" not in old["fields"][1]
    assert "foreignKeys" not in old


def test_hostile_rows_leave_the_package_valid(tmp_path: Path) -> None:
    """Whatever a key says, rows and references are read back."""
    schema = write(tmp_path, [(text, "bulb", "[]", text) for text in HOSTILE], crews=HOSTILE)
    assert schema["foreignKeys"]
    assert judged(tmp_path) == []


def test_the_catalogue_entry_leads_to_every_file(place: Place) -> None:
    """DCAT: one dataset; each distribution's address, size and checksum are those of a file in the folder."""
    entry = json.loads((place.out / "data/dcat.jsonld").read_text(encoding="utf-8"))
    assert entry["@type"] == "dcat:Dataset"
    assert {"dct:title", "dct:description", "dct:publisher", "dct:license", "dct:modified"} <= entry.keys()
    found = {each["dcat:downloadURL"]["@id"]: each for each in entry["dcat:distribution"]}
    for address, each in found.items():
        data = (place.out / "data" / address).resolve().read_bytes()
        if "dcat:byteSize" in each:
            checksum = each["spdx:checksum"]["spdx:checksumValue"]
            assert (each["dcat:byteSize"], checksum) == (len(data), hashlib.sha256(data).hexdigest())
    files = {path.relative_to(place.out / "data").as_posix() for path in (place.out / "data").rglob("*.csv")}
    assert files <= found.keys()
    licence = (place.out / "data/LICENSE.txt").read_text(encoding="utf-8")
    assert "CC BY 4.0" in licence
    assert entry["dct:license"]["@id"] in licence


def test_the_hostile_crew_is_harmless(place: Place) -> None:
    """The name of a crew is `=1+1`; its key has every character that breaks things."""
    names = {row["key"]: row["name"] for row in read(place.out / "data" / "crew.csv")}
    assert names == {"1": "东班", ODD_KEY: "'=1+1"}


def test_the_package_describes_its_files(place: Place) -> None:
    """Size, hash, fields with labels and codes, keys; and a licence."""
    package: dict[str, Any] = json.loads((place.out / "data" / "datapackage.json").read_text(encoding="utf-8"))
    for resource in package["resources"]:
        data = (place.out / "data" / resource["path"]).read_bytes()
        assert (resource["bytes"], resource["hash"]) == (len(data), f"sha256:{hashlib.sha256(data).hexdigest()}")
        header = next(csv.reader(io.StringIO(data.decode())))
        assert [field["name"] for field in resource["schema"]["fields"]] == header
    (lamp,) = [resource for resource in package["resources"] if resource["name"] == "lamp"]
    fields = {field["name"]: field for field in lamp["schema"]["fields"]}
    assert fields["kind"]["constraints"] == {"enum": ["bulb", "pole"]}
    assert fields["words"]["title"] == "公开说明"
    assert lamp["schema"]["foreignKeys"] == [{"fields": ["crew"], "reference": {"resource": "crew", "fields": ["key"]}}]
    assert fields["cost"]["unit"] == "分"
    assert fields["kind"]["labels"] == {"bulb": "灯泡", "pole": "灯杆"}
    assert lamp["schema"]["primaryKey"] == ["key"]
    assert package["licenses"][0]["name"] == "CC BY 4.0"
    assert package["sources"]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("lamp.json", '"_conflict": 0', '"_conflict": false'),
        ("lamp.json", '"cost": 12345', '"cost": "12345"'),
        ("lamp.json", "\n]", ',\n{"key": "x"}\n]'),
        ("lamp.json", '["灯泡", "=2+2"]', '"灯泡"'),
        ("lamp.json", "\n]", ""),
        ("lamp.csv", "bulb", "pole"),
        ("crew.csv", "'=1+1", "=1+1"),
        ("excel/crew.csv", "\ufeff", ""),
        ("excel/crew.csv", "东班", "西班"),
        ("datapackage.json", '"primaryKey"', '"primary"'),
    ],
)
def test_the_audit_reads_every_file(out: Path, name: str, old: str, new: str) -> None:
    """A value, a type, a row, the guard or the mark: each is named, even when the list is signed anew."""
    path = out / "data" / name
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode())
    write_pages(out, {})
    report = audit(out, out.parent / "centre/charter.json")
    found = {each.path for each in report.findings if each.code == "data"}
    assert f"data/{name}" in found
    assert found <= {f"data/{name}", "data/datapackage.json"}
    assert not report.has("file", "files")


def test_the_audit_misses_words_that_are_not_there(out: Path) -> None:
    """The licence and the catalogue entry must be there; a file that is no table must not."""
    (out / "data/LICENSE.txt").unlink()
    (out / "data/excel/more.csv").write_text("a")
    write_pages(out, {})
    report = audit(out, out.parent / "centre/charter.json")
    found = {each.path for each in report.findings if each.code == "data"}
    assert found == {"data/LICENSE.txt", "data/excel/more.csv"}
