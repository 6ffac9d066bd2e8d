"""Reading CSV and JSON files of other programs, with their places. Nothing here knows registers."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from syncgov.errors import InputError, LimitError

MAX_FILE_BYTES = 64 << 20  # a county's households are not loaded as rows; more is the wrong file
MAX_ROWS = 100_000  # a load is one transaction


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a file.

    Attributes:
        number: where people find it: a CSV's header is row 1, the first entry of JSON is 1; of other files the line.
        places: the lines of cells, where they have their own.
        body: the running text after them.
    """

    number: int
    cells: dict[str, Any]
    places: dict[str, int] = field(default_factory=dict)
    body: str = ""

    def at(self, head: str) -> int:
        """Return where people find a cell."""
        return self.places.get(head, self.number)


def read_text(path: Path) -> str:
    """Return the text of a file, without a byte order mark.

    Raises:
        InputError: it cannot be read, or is not UTF-8. LimitError: too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"无法读取 {path}：{error.strerror}", f"cannot read {path}: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise LimitError(str(path), f"more than {MAX_FILE_BYTES >> 20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path.name} 第 {line} 行不是 UTF-8 文字；在 Excel 中请另存为“CSV UTF-8”，在记事本中编码选 UTF-8",
            f"{path.name}: line {line} is not UTF-8; in Excel save it as CSV UTF-8, in an editor as UTF-8",
        ) from error


def read_lines(path: Path) -> list[Line]:
    """Return the rows of a .csv, .json, .yml or .md file.

    Raises:
        InputError: not such a file; names row and column.
    """
    text = read_text(path)
    reader = _readers().get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"{path.name} 不是 .csv、.json、.yml 或 .md 文件", f"{path.name} is neither .csv, .json, .yml nor .md"
        )
    lines = reader(path.name, text)
    if len(lines) > MAX_ROWS:
        raise LimitError(path.name, f"more than {MAX_ROWS} rows")
    return lines


def _readers() -> dict[str, Callable[[str, str], list[Line]]]:
    from syncgov.importers.yaml_files import markdown_lines, yaml_lines  # late: it needs `Line`

    written = {".yml": yaml_lines, ".yaml": yaml_lines, ".md": markdown_lines}
    return {".csv": _csv_lines, ".json": lambda name, text: _json_lines(name, parse_json(name, text)), **written}


def _csv_lines(name: str, text: str) -> list[Line]:
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise InputError(f"{name} 不是正确的 CSV：{error}", f"{name} is not CSV: {error}") from error
    if not rows or not any(rows[0]):
        raise InputError(f"{name} 是空的；第一行应是栏名", f"{name} is empty; its first row must name the columns")
    header = [cell.strip() for cell in rows[0]]
    _check_header(name, header)
    return [_csv_line(name, number, header, row) for number, row in enumerate(rows[1:], 2) if any(row)]


def _check_header(name: str, header: Sequence[str]) -> None:
    for position, cell in enumerate(header, 1):
        if cell == "":
            raise InputError(f"{name} 第 1 行第 {position} 栏没有栏名", f"{name}: row 1, column {position} has no name")
        if cell in header[: position - 1]:
            raise InputError(f"{name} 第 1 行：栏名“{cell}”重复", f"{name}: row 1 names column {cell} twice")


def _csv_line(name: str, number: int, header: list[str], row: list[str]) -> Line:
    if len(row) != len(header):
        raise InputError(
            f"{name} 第 {number} 行有 {len(row)} 栏，应为 {len(header)} 栏（最后一栏是“{header[-1]}”）",
            f"{name}: row {number} has {len(row)} columns, not {len(header)} (the last is {header[-1]})",
        )
    return Line(number, dict(zip(header, row, strict=True)))


def parse_json(name: str, text: str) -> Any:
    """Return what JSON text says: decimals as Decimal, no member twice, no NaN.

    Raises:
        InputError: not JSON; names line and column.
    """

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            seen = Counter(key for key, _ in pairs)
            twice = next(key for key, times in seen.items() if times > 1)
            raise InputError(f"{name}：成员“{twice}”重复", f"{name}: member {twice!r} is there twice")
        return found

    def constant(word: str) -> Any:
        raise InputError(f"{name}：JSON 里没有 {word}", f"{name}: {word} is not JSON")

    try:
        return json.loads(text, parse_float=Decimal, parse_constant=constant, object_pairs_hook=members)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{name} 第 {error.lineno} 行第 {error.colno} 字不是正确的 JSON",
            f"{name}: line {error.lineno}, column {error.colno}: not JSON: {error.msg}",
        ) from error
    except (RecursionError, ValueError, ArithmeticError) as error:
        # nesting, an integer of thousands of digits, an exponent of twenty: no table looks like that
        raise InputError(f"{name} 不是正确的 JSON", f"{name} is not JSON for a table") from error


def _json_lines(name: str, found: Any) -> list[Line]:
    if not isinstance(found, list):
        raise InputError(f"{name} 应是对象的列表 [{{…}}, …]", f"{name} must be an array of objects")
    for number, entry in enumerate(found, 1):
        if not isinstance(entry, dict):
            raise InputError(f"{name} 第 {number} 条不是对象", f"{name}: entry {number} is not an object")
    return [Line(number, entry) for number, entry in enumerate(found, 1)]
