"""The block `attachment` of a register file. Source: protocol page, section 17."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from syncgov.core.attachment import MAX_FILE_BYTES, MAX_FILES, MEDIA_TYPES, Attachment
from syncgov.core.register_model import Column, Field
from syncgov.core.register_yaml import Table

_KEYS = "sha256 bytes media_type kind thumbnail phase accept max_bytes max_files".split()
_REQUIRED = "sha256 bytes media_type kind accept max_bytes max_files".split()
# key -> the type that the column must have
_TYPES = {
    "sha256": "hash",
    "bytes": "integer",
    "media_type": "text",
    "kind": "code",
    "thumbnail": "hash",
    "phase": "code",
}


def parse_attachment(top: Table, columns: Mapping[str, Column], fields: Collection[Field]) -> Attachment:
    """Return the declaration that a register's rows stand for files.

    Raises:
        RegisterError: not child rows that never change, columns of another type, columns that nobody would fill.
    """
    top["attachment"].unless(
        "parent" in top and top.boolean("immutable") and top["key"].is_text("uuid"),
        ("附件须是子登记册，且不可改", "attachments are child rows that never change"),
        ("写 parent: 列名、immutable: true、key: uuid。", "Write `parent: column`, `immutable: true`, `key: uuid`."),
    )
    table = top["attachment"].table(_KEYS, _REQUIRED)
    names = {key: _column(table, key, columns) for key in _TYPES if key in table}
    _check_required(table, {*names.values(), top["parent"].text()}, fields)
    return Attachment(
        sha256=names["sha256"],
        bytes=names["bytes"],
        media_type=names["media_type"],
        kind=names["kind"],
        thumbnail=names.get("thumbnail"),
        phase=names.get("phase"),
        accept=_accept(table, columns[names["kind"]]),
        max_bytes=table["max_bytes"].integer(1, MAX_FILE_BYTES),
        max_files=table["max_files"].integer(1, MAX_FILES),
    )


def _column(table: Table, key: str, columns: Mapping[str, Column]) -> str:
    name = table[key].one_of(columns, ("列", "column"))
    table[key].unless(
        columns[name].type == _TYPES[key],
        (f"列“{name}”的类型不是 {_TYPES[key]}", f"column {name!r} is not of type {_TYPES[key]}"),
        (f"把它的 type 改为 {_TYPES[key]}。", f"Give it type {_TYPES[key]}."),
    )
    return name


def _check_required(table: Table, filled: Collection[str], fields: Collection[Field]) -> None:
    """A file's row is filled by `attach`, which knows no other column."""
    by_column = {column.name: field for field in fields for column in field.columns}
    for key in ("sha256", "bytes"):
        field = by_column[table[key].text()]
        table[key].unless(
            field.required and not field.group,
            (f"列“{field.name}”须必填，且不在组内", f"column {field.name!r} must be required and stand alone"),
            ("在该字段加 required: true。", "Add `required: true` to that field."),
        )
    for field in fields:
        table.item.unless(
            not field.required or all(column.name in filled for column in field.columns),
            (f"必填的“{field.name}”没有来源", f"nothing would fill the required field {field.name!r}"),
            ("去掉 required，或在 attachment 中写明它的作用。", "Drop `required`, or say in `attachment` what it is."),
        )


def _accept(table: Table, kind: Column) -> Mapping[str, tuple[str, ...]]:
    codes = [choice.code for choice in kind.choices]
    accept = {
        key.one_of(codes, ("种类", "kind")): tuple(
            each.one_of(MEDIA_TYPES, ("媒体类型", "media type")) for each in types.items()
        )
        for key, types in table["accept"].pairs()
    }
    table["accept"].unless(
        any(accept.values()),
        ("没有写明接受什么文件", "no kind of file is accepted"),
        ("写成 accept: {photo: [image/jpeg]}。", "Write `accept: {photo: [image/jpeg]}`."),
    )
    return MappingProxyType(accept)
