"""CSV and its description: anybody can load it, and no spreadsheet runs it."""

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

from syncgov.core.public_rows import make_table
from syncgov.publish.open_data import csv_bytes
from tests.publish.place import ODD_KEY, Place
from tests.publish.reading import cells


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))


def test_every_file_holds_its_table(place: Place) -> None:
    """Same rows, same order, same columns as public.db."""
    for table in ("lamp", "crew", "device", "figure", "label"):
        rows = cells(place.out, f'SELECT * FROM "{table}" ORDER BY rowid')
        found = [list(row.values()) for row in read(place.out / "data" / f"{table}.csv")]
        plain = [[cell.removeprefix("'") for cell in row] for row in found]
        assert plain == [["" if cell is None else str(cell) for cell in row] for row in rows]


def test_no_cell_is_a_formula() -> None:
    """Whatever a spreadsheet would run gets an apostrophe; numbers stay numbers."""
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "plain", "a=1", ""]
    table = make_table("text number:INTEGER", "text", [(text, -5) for text in texts])
    rows = list(csv.reader(io.StringIO(csv_bytes(table).decode("utf-8-sig"), newline="")))[1:]
    assert [row[0] for row in rows] == [*(f"'{text}" for text in texts[:8]), "plain", "a=1", ""]
    assert {row[1] for row in rows} == {"-5"}


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
        header = next(csv.reader(io.StringIO(data.decode("utf-8-sig"))))
        assert [field["name"] for field in resource["schema"]["fields"]] == header
    (lamp,) = [resource for resource in package["resources"] if resource["name"] == "lamp"]
    fields = {field["name"]: field for field in lamp["schema"]["fields"]}
    assert fields["kind"]["constraints"] == {"enum": ["bulb", "pole"]}
    assert fields["words"]["title"] == "公开说明"
    assert lamp["schema"]["foreignKeys"] == [{"fields": ["crew"], "reference": {"resource": "crew", "fields": ["key"]}}]
    assert package["licenses"][0]["name"]
