"""YAML read as nodes, so that every complaint has its line. No alias, tag or repeated key.

Source: YAML 1.1; protocol page, section 7.
"""

import difflib
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

import yaml

from syncgov.errors import RegisterError

MAX_REGISTER_CHARS = 200_000  # the largest shipped register has under 20 000
MAX_DEPTH = 8  # deeper input only serves to exhaust the composer's stack
STRING, INTEGER, BOOLEAN = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "bool"))

Words: TypeAlias = tuple[str, str]  # in Chinese, in English


def problem(file: str, line: int, what: Words, remedy: Words) -> RegisterError:
    """Return the error that says in both languages what is wrong where, and what to do."""
    error = RegisterError(file, line, what[0], remedy[0])
    error.en = f"{file}:{line}: {what[1]}. {remedy[1]}"
    error.args = (error.en,)
    return error


def nearest(word: str, known: Collection[str]) -> Words:
    """Return the remedy for an unknown *word*: the known one most like it, or all of them."""
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"是不是“{close[0]}”？", f"Did you mean {close[0]!r}?"
    return f"可用：{'、'.join(sorted(known))}。", f"Known: {', '.join(sorted(known))}."


@dataclass(frozen=True, slots=True)
class Item:
    """One node of a file."""

    file: str
    node: yaml.Node

    @property
    def line(self) -> int:
        """The node's first line, from 1."""
        return int(self.node.start_mark.line) + 1

    def fail(self, what: Words, remedy: Words) -> NoReturn:
        """Raise the RegisterError that points to this node."""
        raise problem(self.file, self.line, what, remedy)

    def unless(self, condition: bool, what: Words, remedy: Words) -> None:
        """Raise the RegisterError that points to this node unless *condition* holds."""
        if not condition:
            self.fail(what, remedy)

    def text(self, max_length: int = 500) -> str:
        """Return the node's text, 1 to *max_length* characters."""
        if not (isinstance(self.node, yaml.ScalarNode) and self.node.tag == STRING):
            self.fail(("这里应写文字", "text is expected here"), ("把它放进引号里。", "Put it in quotes."))
        value = str(self.node.value)
        if not 1 <= len(value) <= max_length:
            self.fail(
                (f"文字应有 1 到 {max_length} 个字", f"text of 1 to {max_length} characters is expected"),
                ("填写或缩短它。", "Fill it in or shorten it."),
            )
        return value

    def integer(self, low: int, high: int) -> int:
        """Return the node's whole number, *low* to *high*, in plain digits."""
        if isinstance(self.node, yaml.ScalarNode) and self.node.tag == INTEGER:
            digits = str(self.node.value)
            if digits.isascii() and digits.isdigit() and str(int(digits)) == digits and low <= int(digits) <= high:
                return int(digits)
        self.fail(
            ("这里应写整数", "a whole number is expected here"),
            (f"写 {low} 到 {high} 之间的数字。", f"Write digits for a number from {low} to {high}."),
        )

    def boolean(self) -> bool:
        """Return true or false."""
        if isinstance(self.node, yaml.ScalarNode) and self.node.value in ("true", "false") and self.node.tag == BOOLEAN:
            return bool(self.node.value == "true")
        self.fail(("这里应写 true 或 false", "true or false is expected here"), ("改为 true 或 false。", "Write one."))

    def one_of(self, known: Collection[str], what: Words) -> str:
        """Return the node's text, one of *known*."""
        value = self.text()
        if value not in known:
            self.fail((f"未知的{what[0]}“{value}”", f"unknown {what[1]} {value!r}"), nearest(value, known))
        return value

    def is_text(self, value: str) -> bool:
        """Return whether the node is the text *value*."""
        return isinstance(self.node, yaml.ScalarNode) and self.node.tag == STRING and self.node.value == value

    def is_scalar(self) -> bool:
        """Return whether the node is a single value."""
        return isinstance(self.node, yaml.ScalarNode)

    def items(self) -> tuple["Item", ...]:
        """Return the parts of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail(("这里应写列表", "a list is expected here"), ("写成 [甲, 乙]。", "Write it as [one, two]."))
        return tuple(Item(self.file, node) for node in self.node.value)

    def pairs(self) -> tuple[tuple["Item", "Item"], ...]:
        """Return the members of a mapping; their keys are scalars, none twice."""
        if not isinstance(self.node, yaml.MappingNode):
            self.fail(("这里应写“键: 值”", "`key: value` is expected here"), ("写成 {键: 值}。", "Write {key: value}."))
        pairs = tuple((Item(self.file, key), Item(self.file, value)) for key, value in self.node.value)
        seen: set[str] = set()
        for key, _value in pairs:
            key.unless(key.is_scalar(), ("键应为文字", "a key must be text"), ("改用一个词。", "Use one word."))
            key.unless(
                key.node.value not in seen,
                (f"键“{key.node.value}”重复", f"key {key.node.value!r} is repeated"),
                ("删去其中一个。", "Delete one of them."),
            )
            seen.add(key.node.value)
        return pairs

    def table(self, known: Collection[str], required: Iterable[str] = ()) -> "Table":
        """Return a mapping whose keys are all *known*, with the *required* ones present."""
        members = {}
        for key, value in self.pairs():
            members[key.one_of(known, ("键", "key"))] = value
        for name in required:
            self.unless(
                name in members, (f"缺少“{name}”", f"{name!r} is missing"), (f"加上“{name}: …”。", f"Add `{name}: …`.")
            )
        return Table(self, members)


def item_at(text: str, file: str, *path: str | int) -> Item:
    """Return the node that *path* (keys of mappings, positions in lists) leads to in a text that has been read before.

    Raises:
        KeyError, IndexError: there is no such node.
    """
    item = read_yaml(text, file)
    for step in path:
        if isinstance(step, int):
            item = item.items()[step]
        else:
            item = {key.node.value: value for key, value in item.pairs()}[step]
    return item


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping with known keys."""

    item: Item
    members: dict[str, Item]

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def __getitem__(self, name: str) -> Item:
        return self.members[name]

    def at(self, name: str) -> Item:
        """Return the member, or the mapping itself where the member is missing: the place to complain about."""
        return self.members.get(name, self.item)

    def text(self, name: str, default: str = "", max_length: int = 500) -> str:
        """Return the text of a member."""
        return self.members[name].text(max_length) if name in self.members else default

    def boolean(self, name: str) -> bool:
        """Return the truth of a member; false where it is missing."""
        return name in self.members and self.members[name].boolean()

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """Return the number of a member."""
        return self.members[name].integer(low, high) if name in self.members else default

    def items(self, name: str) -> tuple[Item, ...]:
        """Return the parts of a member that is a list; none where it is missing."""
        return self.members[name].items() if name in self.members else ()


def read_yaml(text: str, file: str) -> Item:
    """Return the root node of *text*, one document.

    Raises:
        RegisterError: not YAML, too large or deep, not NFC, or with aliases, anchors or tags.
    """
    _check_text(text, file)
    try:
        for depth, event in _depths(yaml.parse(text, Loader=yaml.SafeLoader)):
            _check_event(event, depth, file)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        what = (f"不是有效的 YAML（{error.problem}）", f"not valid YAML ({error.problem})")
        remedy = ("检查这一行的缩进、冒号和引号。", "Check indentation, colons and quotes of this line.")
        if "\\t" in str(error.problem):
            remedy = ("把这一行开头的制表符（Tab）换成空格。", "Write spaces instead of the tab.")
        raise problem(file, line, what, remedy) from error
    if node is None:
        raise problem(file, 1, ("文件是空的", "the file is empty"), ("写入登记册声明。", "Write a declaration."))
    return Item(file, node)


def _check_text(text: str, file: str) -> None:
    if len(text) > MAX_REGISTER_CHARS:
        raise problem(
            file,
            1,
            (f"文件超过 {MAX_REGISTER_CHARS} 字", f"the file has more than {MAX_REGISTER_CHARS} characters"),
            ("把它分成几个登记册。", "Split it into several registers."),
        )
    for number, line in enumerate(text.split("\n"), 1):
        if not unicodedata.is_normalized("NFC", line) or yaml.reader.Reader.NON_PRINTABLE.search(line):
            raise problem(
                file,
                number,
                ("含有不可见字符或非规范的 Unicode 字符", "characters that are not printable, or not in Unicode NFC"),
                ("删去并重新输入这一行。", "Delete this line and type it again."),
            )


def _depths(events: Iterable[yaml.Event]) -> Iterator[tuple[int, yaml.Event]]:
    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent)
        yield depth, event
        depth -= isinstance(event, yaml.CollectionEndEvent)


def _check_event(event: yaml.Event, depth: int, file: str) -> None:
    line = event.start_mark.line + 1 if event.start_mark is not None else 1
    if depth > MAX_DEPTH:
        raise problem(
            file,
            line,
            (f"嵌套超过 {MAX_DEPTH} 层", f"nested deeper than {MAX_DEPTH}"),
            ("减少层次。", "Use fewer levels."),
        )
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
        raise problem(
            file, line, ("不能用锚点和别名", "anchors and aliases are not allowed"), ("把内容写全。", "Write it out.")
        )
    if getattr(event, "tag", None) is not None:
        raise problem(file, line, ("不能用标签（!）", "tags are not allowed"), ("删去标签。", "Delete the tag."))
