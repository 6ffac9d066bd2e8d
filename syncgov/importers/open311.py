"""Service requests of other systems: Open311 GeoReport v2 JSON, with the timelines that some cities add as `notes`.

The register is a YAML file like any other (`examples/open311/service_request.yml`); its columns have the names of the
format's members. A request keeps its row when it is imported again, also from another device: its key is made of the
request's own number and time. Source: https://wiki.open311.org/GeoReport_v2/
"""

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from syncgov.core.commitment import Value
from syncgov.core.register_model import Register
from syncgov.errors import InputError, LimitError, NotAllowedError
from syncgov.importers.cells import instant, microdegrees
from syncgov.importers.files import parse_json, read_text
from syncgov.importers.tables import Row, upsert
from syncgov.storage.replica import Replica

TABLE = "service_request"
MAX_ENTRIES = 50_000  # one import is one transaction
MAX_NOTES = 500  # steps of one timeline; one changeset must hold them
MAX_TEXT = 4000  # code points of any text

_TEXTS = (
    "service_name service_code agency_responsible status_notes service_notice address address_id zipcode media_url "
    "description"
).split()
_TIMES = ("requested_datetime", "updated_datetime", "expected_datetime")
_DEGREES = {"lat": 90, "long": 180}
_ANSWERS = ("attributes", "extended_attributes")
_KNOWN = frozenset({"service_request_id", "status", "notes", *_TEXTS, *_TIMES, *_DEGREES, *_ANSWERS})
_NOTE_MEMBERS = ("type", "summary", "description")
STATES = ("open", "closed")


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did.

    Attributes:
        requests: entries of the file. changesets: those that were new or had changed.
        left_out: members that the format does not have; they were not imported.
    """

    requests: int
    changesets: int
    left_out: tuple[str, ...]


class _Entry:
    """One entry of the file, with its place for messages."""

    def __init__(self, name: str, number: int, members: Mapping[str, Any], where: str = "") -> None:
        self.name = name
        self.number = number
        self.members = members
        self.where = where

    def fail(self, member: str, zh: str, en: str) -> InputError:
        """Return the error of one member."""
        place = f"{self.where}{member}"
        return InputError(
            f"{self.name} 第 {self.number} 条 {place}：{zh}", f"{self.name}: entry {self.number}, {place}: {en}"
        )

    def text(self, member: str, *, required: bool = False) -> str | None:
        """Return a text; numbers are taken as text, since many servers send codes so."""
        value = self.members.get(member)
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            value = str(value)
        if value is None or value == "":
            if required:
                raise self.fail(member, "缺少", "is missing")
            return None
        if not isinstance(value, str):
            raise self.fail(member, "应为文字", "must be text")
        if len(value) > MAX_TEXT:
            raise self.fail(member, f"超过 {MAX_TEXT} 字", f"has more than {MAX_TEXT} characters")
        # line ends are text; other control characters fool terminals and are refused by every register
        return unicodedata.normalize("NFC", value.replace("\r\n", "\n").replace("\r", "\n"))

    def time(self, member: str, *, required: bool = False) -> str | None:
        """Return a time in +08:00; the instant stays the same."""
        value = self.text(member, required=required)
        try:
            return None if value is None else instant(value)
        except (ValueError, OverflowError):
            raise self.fail(member, f"不是带时区的时间：{value}", f"is not a time with an offset: {value}") from None

    def degrees(self, member: str) -> int | None:
        """Return a coordinate in integer microdegrees."""
        value = self.members.get(member)
        if value is None or value == "":
            return None
        limit = _DEGREES[member]
        try:
            number = Decimal(value) if isinstance(value, str | int | Decimal) and not isinstance(value, bool) else None
        except ArithmeticError:
            number = None
        if number is None or not number.is_finite() or abs(number) > limit:
            raise self.fail(member, f"应为 ±{limit} 度之内的数", f"must be a number within ±{limit}")
        return microdegrees(number)

    def objects(self, member: str) -> list["_Entry"]:
        """Return the objects of a list."""
        value = self.members.get(member)
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > MAX_NOTES:
            raise self.fail(member, f"应为至多 {MAX_NOTES} 项的列表", f"must be an array of at most {MAX_NOTES}")
        found = []
        for position, item in enumerate(value, 1):
            if not isinstance(item, dict):
                raise self.fail(f"{member}[{position}]", "应为对象", "must be an object")
            found.append(_Entry(self.name, self.number, item, f"{self.where}{member}[{position}]."))
        return found


def import_open311(file: Path, replica: Replica, staff: str | None = None, table: str = TABLE) -> Imported:
    """Write the requests of *file* to *table* of a replica, one changeset each; all, or none.

    Raises:
        InputError: names file, entry and member; nothing was written.
        NotAllowedError: this device has no such table, or may not write it.
    """
    register = replica.registers.get(table)
    if register is None or table not in replica.columns or register.write.isdisjoint(replica.roles):
        raise NotAllowedError(
            f"本终端不能写登记册 {table}；样例见 examples/open311",
            f"this device may not write a register {table}; see examples/open311 for one",
        )
    entries = read_entries(file)
    rows = [_checked(entry, register) for entry in entries]
    columns = {column.name: column for column in replica.columns[table]}
    before = replica.meta.get_int("last_seq")
    with replica.change(staff):
        for row in rows:
            known = {name: value for name, value in row.columns.items() if name in columns}
            upsert(replica.conn, register, columns, Row(row.number, row.key, known), file.name)
    left_out = {member for entry in entries for member in entry.members} - _KNOWN
    return Imported(len(rows), replica.meta.get_int("last_seq") - before, tuple(sorted(left_out)))


def read_entries(file: Path) -> list[_Entry]:
    """Return the entries of a GeoReport v2 JSON file.

    Raises:
        InputError: not an array of objects, or a request twice. LimitError: too many.
    """
    found = parse_json(file.name, read_text(file))
    if not isinstance(found, list):
        raise InputError(
            f"{file.name} 应是服务请求的列表（GeoReport v2 JSON）", f"{file.name} must be an array (GeoReport v2 JSON)"
        )
    if len(found) > MAX_ENTRIES:
        raise LimitError(file.name, f"more than {MAX_ENTRIES} entries")
    entries = []
    seen: dict[str | None, int] = {}
    for number, members in enumerate(found, 1):
        entry = _Entry(file.name, number, members if isinstance(members, dict) else {})
        if not isinstance(members, dict):
            raise entry.fail("", "不是对象", "is not an object")
        request = entry.text("service_request_id", required=True)
        if request in seen:
            where = seen[request]
            raise entry.fail("service_request_id", f"与第 {where} 条重复", f"is also the one of entry {where}")
        seen[request] = number
        entries.append(entry)
    return entries


def _checked(entry: _Entry, register: Register) -> Row:
    """Return the row of an entry; every value fits its column."""
    columns = _columns(entry)
    for column in register.columns:
        try:
            column.check(columns.get(column.name))
        except InputError as error:
            raise entry.fail(column.name, error.zh, error.en) from error
    key = _key(str(columns["service_request_id"]), str(columns["requested_datetime"]))
    return Row(entry.number, key, columns)


def _columns(entry: _Entry) -> dict[str, Value]:
    state = entry.text("status", required=True)
    if state not in STATES:
        raise entry.fail("status", f"应为 open 或 closed，现为“{state}”", f"must be open or closed, not {state!r}")
    columns: dict[str, Value] = {"service_request_id": entry.text("service_request_id"), "status": state}
    columns.update({member: entry.text(member) for member in _TEXTS})
    columns.update({member: entry.time(member, required=member == "requested_datetime") for member in _TIMES})
    columns.update({member: entry.degrees(member) for member in _DEGREES})
    columns["timeline"] = [_note(note) for note in entry.objects("notes")] or None
    columns["attributes"] = [answer for member in _ANSWERS for answer in _answers(entry, member)] or None
    # what the file does not say stays as it is; a step of the workflow is one value and always whole
    return {name: value for name, value in columns.items() if value is not None or name == "updated_datetime"}


def _note(note: _Entry) -> dict[str, Value]:
    """Return one step of the timeline; members that it does not have are left out."""
    step: dict[str, Value] = {"datetime": note.time("datetime", required=True)}
    step.update({member: text for member in _NOTE_MEMBERS if (text := note.text(member)) is not None})
    extended = note.members.get("extended_attributes")
    if isinstance(extended, dict):
        inner = _Entry(note.name, note.number, extended, f"{note.where}extended_attributes.")
        related = inner.text("service_request_id")
        step.update({"related": related} if related is not None else {})
    return step


def _answers(entry: _Entry, member: str) -> list[dict[str, Value]]:
    """Return the city's own questions and answers as a list, in the order of the file."""
    found = entry.members.get(member)
    if found is None or found == []:  # some servers write an empty object so
        return []
    if not isinstance(found, dict):
        raise entry.fail(member, "应为对象", "must be an object")
    inner = _Entry(entry.name, entry.number, found, f"{member}.")
    return [{"name": unicodedata.normalize("NFC", name), "value": _scalar(inner, name)} for name in found]


def _scalar(entry: _Entry, member: str) -> Value:
    value = entry.members[member]
    if isinstance(value, bool | int):
        return value
    if isinstance(value, list):
        texts = [part for part in value if isinstance(part, str)]
        if len(texts) == len(value):
            return ", ".join(texts)
    return entry.text(member)


def _key(request: str, requested: str) -> str:
    """Return a UUIDv7 that is always the same for a request: its time, and bits of a hash of its number."""
    at_ms = int(datetime.fromisoformat(requested).timestamp() * 1000) & ((1 << 48) - 1)
    bits = int.from_bytes(hashlib.sha256(request.encode()).digest(), "big")
    high, low = bits & 0xFFF, (bits >> 12) & ((1 << 62) - 1)
    return str(UUID(int=at_ms << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low))
