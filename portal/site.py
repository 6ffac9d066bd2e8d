"""The published data with everything that pages need to write it: words for values, titles, addresses of pages."""

import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote as percent
from urllib.parse import urlsplit

from portal import markup, text, words
from portal.errors import PortalError
from portal.model import COMMUNITY, Column, Figure, Register, Row
from portal.source import Source

HEADLINES = 8  # figures on the first page where none are declared: it must stay short on a phone
_PLAIN_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # file names that every system and web server takes
_OWN_COLUMNS = {
    "_no": "编号",
    COMMUNITY: "社区",
    "_month": "月份",
    "_created": "登记时间",
    "_updated": "更新时间",
}
_OWN_TYPES = {"_created": "datetime", "_updated": "datetime", "_month": "month"}


class Site:
    """Data and addresses of one portal.

    Args:
        source: the open public.db.
        datasette_url: where Datasette serves it: http(s), or relative to the portal's root; '' where it is not served.
        address: http(s) address of the portal on the web, which is printed on sheets; '' where it is not known.
    """

    def __init__(self, source: Source, datasette_url: str = "../", address: str = "") -> None:
        if urlsplit(datasette_url).scheme not in ("", "http", "https"):
            raise PortalError(
                f"Datasette 地址 {datasette_url} 不能用；请写 http(s) 地址或相对路径",
                f"cannot use {datasette_url} as Datasette's address; give an http(s) or a relative one",
            )
        if address and urlsplit(address).scheme not in ("http", "https"):
            raise PortalError(
                f"网址 {address} 不能用；请写 http(s) 地址", f"cannot use {address}; give an http(s) address"
            )
        self.address = address
        self.source = source
        self.meta = source.meta
        self.registers = source.registers
        longest = max(map(len, source.places), default=0)
        self.communities = {code: name for code, name in source.places.items() if len(code) == longest}
        self.device_roles = source.roles()
        self._datasette = datasette_url
        self._names: dict[str, Mapping[str, str]] = {}
        self._roles: dict[str, str] = {}
        self._rows: dict[tuple[str, str], Row | None] = {}

    # what has pages -------------------------------------------------------------------------------------------------

    @property
    def listed(self) -> list[Register]:
        """The registers that have pages, in the order of the menus."""
        return sorted((item for item in self.registers.values() if item.paged), key=lambda item: item.layout.order)

    @property
    def figures(self) -> list[Figure]:
        """The figures in the order of the menus; those of registers without pages come last."""
        order = {item.name: number for number, item in enumerate(self.listed)}
        return sorted(self.source.figures(), key=lambda item: order.get(item.register, len(order)))

    @property
    def headlines(self) -> list[Figure]:
        """The figures of the first page: those that the registers declare so; none declared: the first few of all."""
        chosen = {name for item in self.listed for name in item.layout.headlines}
        return [each for each in self.figures if each.id in chosen] or self.figures[:HEADLINES]

    @property
    def as_of(self) -> str:
        """截至…, as people read it."""
        return f"截至{text.minute(self.meta.get('as_of', ''), prose=True)}"

    # values ---------------------------------------------------------------------------------------------------------

    def label(self, register: Register, column: str) -> str:
        """Return the heading of *column*."""
        if column in register.columns:
            return register.columns[column].label
        return _OWN_COLUMNS.get(column, column)

    def field_label(self, register: Register, field: str) -> str:
        """Return the heading of a field: its column's, or those of a group's columns."""
        columns = register.groups.get(field, (field,))
        if field in register.columns or not all(name in register.columns for name in columns):
            return self.label(register, field)
        return "、".join(register.columns[name].label for name in columns)

    def show(self, row: Row, column: str, prose: bool = False) -> str:
        """Return the words for one value of *row*, not yet escaped."""
        if row.withheld(column):
            return text.ERASED if row.erased(column) else text.WITHHELD
        if column == COMMUNITY:
            return self.community(row.community)
        return self.words(row.register, column, row.values.get(column), prose)

    def told(self, row: Row, column: str) -> str:
        """Return the words for one column, or for `column.other`: what the row that *column* refers to has there."""
        name, dot, other = column.partition(".")
        if not dot:
            return self.show(row, column)
        target = self._referred(row.register, name)
        if target is None or other not in target.columns or row.withheld(name):
            return text.NOTHING
        key = (target.name, str(row.values.get(name) or ""))
        if key not in self._rows:
            self._rows[key] = self.source.find(target, key[1])
        found = self._rows[key]
        return self.show(found, other) if found else text.NOTHING

    def told_label(self, register: Register, column: str) -> str:
        """Return the heading of a column that `told` takes."""
        name, dot, other = column.partition(".")
        target = self._referred(register, name) if dot else None
        return self.label(register, column) if target is None else self.label(target, other)

    def _referred(self, register: Register, column: str) -> Register | None:
        spec = register.columns.get(column)
        return self.registers.get(spec.ref) if spec is not None and spec.ref else None

    def words(self, register: Register, column: str, value: Any, prose: bool = False) -> str:
        """Return the words for *value* as *register* declares *column*."""
        spec = register.columns.get(column) or Column(column, column, _OWN_TYPES.get(column, "text"))
        if value is None or value == "":
            return text.NOTHING
        if spec.ref:
            return self._name(spec.ref, str(value))
        if isinstance(value, dict):
            return "；".join(f"{self.label(register, key)}：{self.words(register, key, value[key])}" for key in value)
        codes = register.codes.get(column, {})
        if str(value) in codes:
            return codes[str(value)]
        words = _typed(spec, value, prose)
        return words + spec.unit if spec.unit and isinstance(value, int) else words

    def items(self, row: Row, column: str) -> list[Any]:
        """Return the members of a list column; a text counts as its lines."""
        value = row.values.get(column)
        if row.withheld(column) or value in (None, ""):
            return []
        found = _decoded(value)
        return found if isinstance(found, list) else [found]

    def title(self, row: Row) -> str:
        """Return what *row* is called: its title columns, else its number, else its key."""
        return self.own_title(row) or row.number or row.key

    def own_title(self, row: Row) -> str:
        """Return what the title columns of *row* say; '' when they are empty."""
        wanted = row.register.layout.title
        parts = [self.show(row, name) for name in wanted if row.values.get(name) is not None or row.withheld(name)]
        return " ".join(parts)

    def community(self, code: str) -> str:
        """Return the name of a community."""
        return self.source.places.get(code, code) if code else "不分社区"

    def role(self, code: str) -> str:
        """Return the words for a role: those of the code list that knows it, else the usual ones."""
        if code not in self._roles:
            known = (codes[code] for item in self.registers.values() for codes in item.codes.values() if code in codes)
            self._roles[code] = next(known, words.role(code))
        return self._roles[code]

    def _name(self, register: str, key: str) -> str:
        target = self.registers.get(register)
        if target is None:
            return key
        if register not in self._names:
            self._names[register] = self.source.names(target)
        return self._names[register].get(key, key)

    # addresses ------------------------------------------------------------------------------------------------------

    def list_path(self, register: Register, community: str = "", number: int = 1) -> str:
        """Return the path of a list page, without its ending: all of it, of one community, or its n-th leaf."""
        name = f"c-{_slug(community)}" if community else "index"
        return f"r/{register.name}/{name}" + (f"-{number}" if number > 1 else "")

    def row_path(self, row: Row) -> str:
        """Return the path of a row's page, without its ending."""
        return f"r/{row.register.name}/k-{_slug(row.key)}"

    def page_of(self, row: Row) -> str:
        """Return the address of the page that shows *row*, from the portal's root: its own, or the one for all."""
        if row.register.layout.page == "row":
            return percent(self.row_path(row)) + ".html"
        if row.register.layout.place and row.key in self.communities:
            return percent(self.community_path(row.key)) + ".html"
        return f"record.html#{percent(self.record_name(row), safe='/')}"

    def record_name(self, row: Row) -> str:
        """Return what names *row* on the page for all records."""
        return f"{row.register.name}/{row.key}"

    def community_path(self, code: str) -> str:
        """Return the path of a community's page, without its ending."""
        return f"community/{_slug(code)}"

    def calendar_path(self, code: str) -> str:
        """Return the path of a community's calendar, without its ending."""
        return f"calendar/c-{_slug(code or 'none')}"

    def feed_path(self, register: Register | None = None, community: str = "") -> str:
        """Return the path of the feed of a register, of a community, or of everything."""
        if register is not None:
            return f"feed/r-{register.name}.xml"
        return f"feed/c-{_slug(community)}.xml" if community else "feed/all.xml"

    def evidence(self, page: str, row: Row) -> str:
        """Return the link to the file that proves *row*, and its marks."""
        marks = [markup.badge("冲突待裁定", "conflict")] if row.conflict else []
        marks += [markup.badge("有争议", "conflict")] if row.disputed else []
        mark = " ".join(marks)
        if not row.evidence:
            return mark
        return f"{markup.link(page, '../' + row.evidence, '查看签名证据', 'sg-evidence')} {mark}".rstrip()

    def check_link(self, page: str, row: Row) -> str:
        """Return the link to the page that checks the file of `evidence` in the reader's browser, '' without one."""
        if not row.evidence:
            return ""
        address = f"{markup.href(page, 'check.html')}#{percent('../' + row.evidence, safe='/~.')}"
        return markup.anchor(address, "在浏览器里核对", "sg-check-link")

    def is_past_review(self, row: Row) -> bool:
        """Tell whether the day has passed until which somebody vouched for what *row* says."""
        column = row.register.layout.review
        until = str(row.values.get(column) or "") if column and not row.withheld(column) else ""
        return bool(until) and text.day(until) < text.day(self.meta.get("as_of", ""))

    def review_mark(self, row: Row) -> str:
        """Return the mark of a row that is past its review, "" of others."""
        return markup.badge("已过复审日期", "late") if self.is_past_review(row) else ""

    def badges(self, row: Row) -> str:
        """Return the marks that follow a title."""
        late = self.review_mark(row)
        return self._plain_badges(row) + (f" {late}" if late else "")

    def _plain_badges(self, row: Row) -> str:
        marks = [name for name in row.register.layout.badges if row.values.get(name) and not row.withheld(name)]
        return "".join(f" {markup.badge(self.label(row.register, name), 'mark')}" for name in marks)

    def datasette(self, page: str, label: str, register: Register, key: str = "", **query: str) -> str:
        """Return a link into Datasette, or '' where it is not served."""
        if not self._datasette:
            return ""
        base = self._datasette if urlsplit(self._datasette).scheme else markup.up(page) + self._datasette
        address = f"{base.rstrip('/')}/public/{register.name}" + (f"/{_tilde(key)}" if key else "")
        if query:
            address += "?" + "&".join(f"{percent(name)}__exact={percent(value)}" for name, value in query.items())
        return markup.anchor(address, label)


def _typed(spec: Column, value: Any, prose: bool) -> str:
    """Return the words for a value of a column's type; a value that does not fit is shown as it is."""
    if spec.type == "boolean":
        return "是" if value else "否"
    if isinstance(value, int):
        return _number(spec.type, value)
    if spec.type == "list":
        return joined(_decoded(value))
    if spec.type == "month":
        return text.month(str(value))
    if spec.type == "date":
        return text.day(str(value), prose)
    return text.minute(str(value), prose) if spec.type == "datetime" else str(value)


def _number(kind: str, value: int) -> str:
    if kind == "money":
        return text.money(value)
    return text.coordinate(value) if kind == "coordinate" else text.number(value)


def joined(value: Any) -> str:
    """Return a list, an object or a plain value on one line."""
    if isinstance(value, dict):
        return "，".join(joined(part) for part in value.values() if part is not None)
    return "、".join(joined(part) for part in value) if isinstance(value, list) else str(value)


def _decoded(value: Any) -> Any:
    """Return what the JSON text of a list column says; another text as its lines."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return [line for line in text.clean(value).split("\n") if line.strip()]


@lru_cache(maxsize=65_536)  # a row's page is linked from several lists
def _slug(key: str) -> str:
    """Return a file name for *key*: the key itself, or its hash where it would not make a safe name."""
    return key if _PLAIN_KEY.fullmatch(key) else "_" + hashlib.sha256(key.encode()).hexdigest()[:20]


def _tilde(key: str) -> str:
    """Return *key* in Datasette's tilde encoding."""
    safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
    return "".join(sign if sign in safe else _tilded(sign) for sign in key)


def _tilded(sign: str) -> str:
    return "+" if sign == " " else "".join(f"~{byte:02X}" for byte in sign.encode())
