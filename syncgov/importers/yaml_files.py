"""Reading YAML and Markdown files that people write by hand, such as policies: every complaint has its line.

    - code: ZC-01          ---
      title: 低保          code: ZC-01
      materials: [甲, 乙]   title: 低保
                          ---
                          正文

A `.yml` file is one record or a list of them; a `.md` file is one record, and its text goes where the register shows
running text. No alias, tag or repeated key. Nothing here knows registers.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import yaml

from syncgov.core.register_yaml import BOOLEAN, INTEGER, MAX_REGISTER_CHARS, STRING, Item, problem, read_yaml
from syncgov.errors import InputError, RegisterError
from syncgov.importers.files import Line

MARK = "---"
_NULL, _FLOAT, _TIME = (f"tag:yaml.org,2002:{kind}" for kind in ("null", "float", "timestamp"))
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,15})")
_DECIMAL = re.compile(r"-?[0-9]{1,15}\.[0-9]{1,15}")


def yaml_lines(name: str, text: str) -> list[Line]:
    """Return the records of a `.yml` file.

    Raises:
        InputError: names file, line and remedy.
    """
    text = text.replace("\r\n", "\n")
    try:
        _check_whole(name, text)
        root = read_yaml(text, name)
        if isinstance(root.node, yaml.SequenceNode):
            return [_line(item) for item in root.items()]
        return [_line(root)]
    except RegisterError as error:
        raise InputError(error.zh, error.en) from error


def markdown_lines(name: str, text: str) -> list[Line]:
    """Return the one record of a `.md` file: its front matter, and its text as `body`.

    Raises:
        InputError: names file, line and remedy.
    """
    text = text.replace("\r\n", "\n")
    try:
        _check_whole(name, text)
        head, body = _split(name, text)
        line = _line(read_yaml("\n" + head, name))  # as many lines as there are above it in the file
    except RegisterError as error:
        raise InputError(error.zh, error.en) from error
    return [Line(line.number, line.cells, line.places, body.strip())]


def _check_whole(name: str, text: str) -> None:
    if len(text) > MAX_REGISTER_CHARS:
        raise problem(
            name,
            1,
            (f"文件超过 {MAX_REGISTER_CHARS} 字", f"the file has more than {MAX_REGISTER_CHARS} characters"),
            ("把它分成几个文件。", "Split it into several files."),
        )
    if not text.strip():
        raise problem(
            name, 1, ("文件是空的", "the file is empty"), ("写入“栏: 值”，每栏一行。", "Write `column: value` lines.")
        )


def _split(name: str, text: str) -> tuple[str, str]:
    """Return what stands between the two marks, and what follows."""
    first, _, rest = text.partition("\n")
    if first.rstrip() != MARK:
        raise problem(
            name,
            1,
            ("开头没有写着各栏的 --- 块", "no front matter"),
            (
                "第一行写 ---，下面每行写“栏: 值”，再写一行 ---，后面是正文。",
                "Begin with a line ---, then `column: value` lines, then --- again; the text follows.",
            ),
        )
    lines = rest.split("\n")
    ends = [at for at, line in enumerate(lines) if line.rstrip() == MARK]
    if not ends:
        raise problem(
            name,
            1,
            ("开头的 --- 块没有结束", "the front matter does not end"),
            ("在各栏之后、正文之前加一行 ---。", "Write a line --- between the columns and the text."),
        )
    return "\n".join(lines[: ends[0]]), "\n".join(lines[ends[0] + 1 :])


def _line(item: Item) -> Line:
    pairs = item.pairs()
    cells = {str(key.node.value): _value(value) for key, value in pairs}
    return Line(item.line, cells, {str(key.node.value): key.line for key, _value in pairs})


def _value(item: Item) -> Any:
    """Return what a node says; what YAML would turn into something that nobody meant is refused."""
    if isinstance(item.node, yaml.SequenceNode):
        return [_value(part) for part in item.items()]
    if isinstance(item.node, yaml.MappingNode):
        return dict(_members(item))
    text, tag = str(item.node.value), item.node.tag
    if tag == _NULL:
        return None
    if tag in (STRING, _TIME):
        return text
    if tag == BOOLEAN:
        return item.boolean()
    if tag == INTEGER and _WHOLE.fullmatch(text):
        return int(text)
    if tag == _FLOAT and _DECIMAL.fullmatch(text):
        return Decimal(text)
    item.fail(
        (f"“{text[:20]}”会被当成别的东西", f"YAML takes {text[:20]!r} for something else"),
        (
            "编号、电话和文字请放进引号里；数字只写数码。",
            "Put numbers of things and texts in quotes; write digits only.",
        ),
    )


def _members(item: Item) -> Iterator[tuple[str, Any]]:
    for key, value in item.pairs():
        yield str(key.node.value), _value(value)
