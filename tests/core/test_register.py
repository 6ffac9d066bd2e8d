"""Registers: what a file may say, what each complaint looks like, and what a value may be."""

import hashlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from syncgov.core.canonical import b64u, encode
from syncgov.core.publication import search_columns
from syncgov.core.register import (
    SYSTEM_NAMES,
    Choice,
    Column,
    Field,
    Figure,
    Register,
    RegisterSet,
    Skeleton,
    check_roles,
    check_set,
    parse_register,
    register_set_digest,
)
from syncgov.core.register_yaml import MAX_REGISTER_CHARS
from syncgov.errors import InputError, RegisterError

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "syncgov" / "registers").rglob("*.yml"))
EXAMPLES = sorted((ROOT / "examples" / "trees").glob("*.yml"))

BENCH = """\
register: bench
version: 1
label: Bench
key: uuid
area: place
skeleton: {community: place, prefix: 2, month: built_on}
number: true
write: [owner, painter]
read:
  internal: [owner, painter, boss]
  private: [owner]
fields:
  place: {label: Place, type: text, class: public, required: true}
  built_on: {label: Built, type: date, class: internal}
  colour:
    label: Colour
    type: code
    class: public
    merge: review
    write: [owner, boss]
    resolve: [boss]
    choices: {red: Red, green: Green}
  seats: {label: Seats, type: integer, class: public, merge: max, choices: {2: Two, 3: Three}}
  parts: {label: Parts, type: list, class: public, max_length: 3, items: {name: Name, size: Size}}
  fit: {label: Fit, type: boolean, class: public}
  notes: {label: Notes, type: text, class: private, free_text: true, write: [owner]}
  work:
    label: Work
    class: public
    merge: state
    group:
      state: {label: State, type: code, choices: {todo: To do, done: Done}}
      firm: {label: Firm, type: text, ref: bench}
      reason: {label: Reason, type: code, choices: {rot: Rot, wear: Wear}}
workflow:
  field: work
  state: state
  precedence: [done, todo]
  review: {states: [[todo, done]], columns: [firm]}
  resolve: [boss]
  steps: {todo: Plan}
  open: [todo]
  closed: [done]
  transitions:
    - {name: plan, from: [new], to: todo, roles: [owner]}
    - {name: finish, from: [todo], to: done, roles: [painter, boss], guards: [reason]}
figures:
  - {id: benches, label: Benches, kind: count, n: SELECT count(*) FROM bench}
  - id: done_rate
    label: Done
    kind: rate
    n: select 1
    d: select 2
portal:
  nav: Benches
  page: row
  title: place
  group_by: [_community, colour]
  badges: [fit]
  where: {colour: [red]}
  limit: 9
  timeline: {unit: firm, reason: reason, paused: [todo]}
  sections:
    - {column: parts, as: table, members: [size]}
    - {column: place, as: text, label: Where}
"""


@pytest.fixture
def bench() -> Register:
    return parse_register(BENCH, "bench.yml")


def changed(old: str, new: str) -> str:
    """Return the file with one part exchanged; the part must be there."""
    assert BENCH.count(old) >= 1
    return BENCH.replace(old, new, 1)


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def test_a_file_says_all_that_a_register_is(bench: Register) -> None:
    """Fields, rights, skeleton, workflow, figures and portal come from the text alone."""
    assert (bench.name, bench.version, bench.label, bench.key, bench.number) == ("bench", 1, "Bench", "uuid", True)
    assert bench.skeleton == Skeleton("place", 2, "built_on")
    assert bench.skeleton.sources() == {"_community": ("place", 2), "_month": ("built_on", 7)}
    assert bench.area == "place"
    assert bench.parent is None
    assert bench.row_class == "public"
    assert [f.name for f in bench.fields] == [
        "place",
        "built_on",
        "colour",
        "seats",
        "parts",
        "fit",
        "notes",
        "work",
    ]
    assert bench.field("colour").resolve == {"boss"}
    assert bench.field("seats").write == {"owner", "painter"}
    assert bench.field("seats").columns[0].choices == (Choice("2", "Two"), Choice("3", "Three"))
    assert bench.field("notes").columns[0].max_length == 2000
    assert bench.column_field("firm").name == "work"
    assert bench.find("firm") is None
    assert bench.writers == {"owner", "painter", "boss"}
    assert bench.text == BENCH


def test_the_workflow_field_is_written_by_the_roles_of_its_transitions(bench: Register) -> None:
    """Nobody has to repeat in `write` what the transitions say."""
    assert bench.field("work").write == {"owner", "painter", "boss"}
    assert bench.field("work").resolve == {"boss"}


def test_the_portal_block_is_plain_and_carries_the_labels_of_members(bench: Register) -> None:
    """The portal needs no second look into the fields."""
    assert bench.portal == {
        "nav": "Benches",
        "page": "row",
        "order": 500,
        "place": False,
        "title": ["place"],
        "group_by": ["_community", "colour"],
        "limit": 9,
        "badges": ["fit"],
        "where": {"colour": ["red"]},
        "timeline": {"unit": "firm", "reason": "reason", "paused": ["todo"]},
        "sections": [
            {"column": "parts", "as": "table", "label": "Parts", "members": {"size": "Size"}},
            {"column": "place", "as": "text", "label": "Where"},
        ],
    }
    assert encode(dict(bench.portal))


MAPPED = [
    ("map: {filter: colour}", {"filter": ["colour"]}),
    (
        "map: {filter: [state, colour], lat: north, long: east}",
        {"filter": ["state", "colour"], "lat": "north", "long": "east"},
    ),
    ("map: {area: place, columns: [place, firm.place]}", {"area": "place", "columns": ["place", "firm.place"]}),
    ("place: true\n  map: {outline: place}", {"outline": "place"}),
]


@pytest.mark.parametrize(("declared", "expected"), MAPPED)
def test_what_stands_on_the_map_is_declared(declared: str, expected: dict[str, Any]) -> None:
    """Of places an outline, of matters filters and a point, of others what is told of an area."""
    points = (
        "  north: {label: N, type: coordinate, class: public}\n  east: {label: E, type: coordinate, class: public}\n"
    )
    text = changed("  limit: 9", f"  limit: 9\n  {declared}").replace("  fit: {", f"{points}  fit: {{", 1)
    found = parse_register(text, "bench.yml")
    assert found.portal["map"] == expected
    assert found.outline == expected.get("outline")
    check_set([found])
    words = search_columns(found)
    assert ("place" in words) == ("outline" not in expected)
    if "lat" in expected:
        with pytest.raises(RegisterError, match="belong together"):
            parse_register(text.replace(", long: east", ""), "bench.yml")


def test_what_is_told_of_another_row_is_public_there() -> None:
    """A column behind a reference that does not exist, or that the public may not read, is refused with its line."""
    for other in ("nothing", "notes", "built_on"):
        text = changed("  limit: 9", f"  limit: 9\n  map: {{area: place, columns: [firm.{other}]}}")
        with pytest.raises(RegisterError, match="has no such public column"):
            check_set([parse_register(text, "bench.yml")])


def test_roles_read_the_fields_of_their_classes(bench: Register) -> None:
    """Public fields are read by everybody, the others by the roles named."""
    assert bench.may_read([], "public")
    assert not bench.may_read(["painter"], "private")
    assert not bench.may_read(["painter"], "unheard")
    assert {f.name for f in bench.readable(["painter"])} == {f.name for f in bench.fields} - {"notes"}
    assert "notes" in {f.name for f in bench.readable({"owner"})}


def test_class_of_a_name(bench: Register) -> None:
    """Names that begin with `_` have the class of the row."""
    assert bench.class_of("_alive") == "public"
    assert bench.class_of("notes") == "private"


BAD = [
    # (part, replaced by, where the complaint points, what it says)
    ("version: 1", "version: [", "key: uuid", "not valid YAML"),
    ("label: Bench", "label: *x", "label: *x", "anchors and aliases"),
    ("label: Bench", "label: &x Bench", "label: &x", "anchors and aliases"),
    ("label: Bench", "label: !!str Bench", "label: !!str", "tags are not allowed"),
    ("label: Bench", "label: [[[[[[[[[1]]]]]]]]]", "label: [[", "nested deeper"),
    ("label: Bench", "label: Be\u0301nch", "label: Be", "Unicode NFC"),
    ("label: Bench", "label: Be\u0007nch", "label: Be", "not printable"),
    ("label: Bench", "label: 2026", "label: 2026", "text is expected"),
    ("label: Bench", "label: ''", "label: ''", "text of 1 to"),
    ("label: Bench", "label: no", "label: no", "text is expected"),
    ("version: 1", "version: 0x10", "version: 0x10", "a whole number"),
    ("version: 1", "version: 0", "version: 0", "a whole number"),
    ("version: 1", "version: many", "version: many", "a whole number"),
    ("number: true", "number: yes", "number: yes", "true or false"),
    ("version: 1", "version: 1\nversion: 2", "version: 2", "repeated"),
    ("version: 1", "version: 1\nlable: x", "lable: x", "unknown key 'lable'. Did you mean 'label'?"),
    ("version: 1", "version: 1\n[a]: x", "[a]: x", "a key must be text"),
    ("key: uuid\n", "", "register: bench", "'key' is missing. Add `key: …`"),
    ("key: uuid", "key: uuidv7", "key: uuidv7", "unknown kind of key 'uuidv7'. Did you mean 'uuid'"),
    ("write: [owner, painter]", "write: owner", "write: owner", "a list is expected"),
    ("write: [owner, painter]", "write: []", "write: []", "at least one role"),
    ("write: [owner, painter]", "write: [Owner]", "write: [Owner]", "bad role 'Owner'"),
    ("register: bench", "register: Bench", "register: Bench", "bad register name"),
    ("register: bench", "register: history", "register: history", "name of a table of the system"),
    ("register: bench", "register: bench_fts", "register: bench_fts", "name of a table of the system"),
    ("register: bench", "register: device", "register: device", "fixed by the protocol"),
    ("version: 1", "version: 1\nsystem: true", "system: true", "fixed by the protocol"),
    ("read:\n", "read:\n  public: [owner]\n", "public: [owner]", "everybody reads public"),
    ("  internal: [owner, painter, boss]\n", "", "built_on: {", "nobody may read class internal"),
    ("  private: [owner]", "  secret: [owner]", "secret:", "unknown key 'secret'"),
    ("  fit: {", "  Fit: {", "Fit: {", "bad field name 'Fit'"),
    ("  fit: {", "  key: {", "key: {label: Fit", "reserved column name"),
    ("  fit: {", "  seats2: [a]\n  fit: {", "seats2", "`key: value` is expected"),
    ("type: boolean", "type: bool", "type: bool", "unknown type 'bool'. Did you mean 'boolean'"),
    ("class: public, required", "class: open, required", "class: open", "unknown class 'open'"),
    ("merge: review", "merge: vote", "merge: vote", "unknown merge rule 'vote'"),
    ("    resolve: [boss]\n    choices", "    choices", "label: Colour", "review needs `resolve`"),
    ("resolve: [boss]\n    choices", "resolve: [painter]\n    choices", "resolve: [painter]", "may not write"),
    ("    choices: {red: Red, green: Green}\n", "", "type: code", "type code needs `choices`"),
    ("{red: Red, green: Green}", "{绿: Green}", "{绿", "bad code '绿'"),
    ("{red: Red, green: Green}", "{no: Nope}", "{no: Nope}", "text is expected here. Put it in quotes"),
    ("{red: Red, green: Green}", "{}", "choices: {}", "1 to 500 entries"),
    ("choices: {2: Two, 3: Three}", "choices: {two: Two}", "{two: Two}", "a whole number"),
    ("items: {name: Name, size: Size}", "items: {Name: N}", "items: {Name", "bad code 'Name'"),
    ("type: boolean", "type: boolean, unit: cm", "unit: cm", "type boolean takes no unit"),
    ("type: boolean", "type: boolean, min: 0", "min: 0", "type boolean takes no min"),
    ("merge: max, choices", "min: -1, choices", "min: -1", "a whole number"),
    ("type: boolean", "type: boolean, merge: max", "fit: {", "max is for numbers"),
    ("free_text: true, write: [owner]", "free_text: true", "notes: {", "role 'painter' may write but not read"),
    ("free_text: true, write: [owner]", "write: [ownr]", "write: [ownr]", "Did you mean 'owner'?"),
    (
        "firm: {label: Firm, type: text, ref: bench}",
        "firm: {label: Firm, type: text}",
        "firm: {",
        "a group holds codes",
    ),
    ("      firm: {label: Firm", "      seats: {label: Firm", "label: Work", "column 'seats' is declared twice"),
    ("area: place", "area: plaec", "area: plaec", "unknown column 'plaec'. Did you mean 'place'?"),
    ("area: place", "area: built_on", "area: built_on", "cannot serve as area"),
    ("class: public, required: true}", "class: public}", "area: place", "'place' must be required"),
    ("area: place", "parent: place", "parent: place", "no `ref`"),
    ("area: place", "area: place\nparent: firm", "area: place", "exclude each other"),
    ("key: uuid", "key: natural", "write: [owner", "made by the registrar alone"),
    ("prefix: 2, ", "", "skeleton:", "belong together"),
    ("month: built_on", "month: place", "month: place", "cannot serve as month"),
    ("month: built_on", "weekday: built_on", "weekday", "unknown key 'weekday'"),
    (", month: built_on", "", "number: true", "numbers need the skeleton's"),
    (
        "number: true\n",
        "immutable: true\n",
        "immutable: true",
        "immutable rows have no workflow",
    ),
    ("merge: state\n", "merge: last\n", "merge: last", "belong together"),
    ("merge: max,", "merge: state,", "merge: state,", "belong together"),
    ("  field: work", "  field: wrok", "field: wrok", "unknown field 'wrok'. Did you mean 'work'?"),
    ("kind: count", "kind: sum", "kind: sum", "unknown kind of figure 'sum'"),
    ("n: SELECT count(*) FROM bench", "n: DELETE FROM bench", "n: DELETE", "one SELECT statement"),
    ("n: SELECT count(*) FROM bench", "n: SELECT 1; SELECT 2", "n: SELECT 1;", "one SELECT statement"),
    ("    d: select 2\n", "", "- id: done_rate", "have a divisor"),
    ("kind: count,", "kind: count, d: select 1,", "d: select 1,", "have a divisor"),
    ("kind: count,", "kind: count, decimals: 1,", "decimals: 1,", "count has no decimals"),
    ("- id: done_rate", "- id: benches", "- id: benches\n", "malformed or repeated"),
    ("- id: done_rate", "- id: Done", "- id: Done", "malformed or repeated"),
    ("  page: row", "  page: grid", "page: grid", "unknown kind of page"),
    (
        "  page: row",
        "  page: row\n  headlines: [done_rat]",
        "headlines:",
        "unknown figure 'done_rat'. Did you mean 'done_rate'",
    ),
    ("  title: place\n", "", "nav: Benches", "needs `title`"),
    ("title: place", "title: notes", "title: notes", "unknown public column 'notes'"),
    ("  limit: 9", "  limit: 9\n  map: {}", "map: {}", "`map` has one of outline"),
    ("  limit: 9", "  limit: 9\n  map: {outline: place}", "map: {outline", "`map` has one of outline"),
    ("  limit: 9", "  limit: 9\n  place: true\n  map: {filter: colour}", "map: {filter", "`map` has one of outline"),
    ("  limit: 9", "  limit: 9\n  map: {filter: colour, area: place}", "map: {filter", "`map` has one of outline"),
    ("  limit: 9", "  limit: 9\n  map: {filter: place}", "map: {filter", "'place' is not of type code"),
    ("  limit: 9", "  limit: 9\n  map: {filter: []}", "map: {filter", "takes one to 2 columns"),
    ("  limit: 9", "  limit: 9\n  map: {filter: [colour, state, reason]}", "map: {filter", "takes one to 2 columns"),
    (
        "  limit: 9",
        "  limit: 9\n  map: {filter: colour, lat: seats}",
        "map: {filter",
        "'seats' is not of type coordinate",
    ),
    ("  limit: 9", "  limit: 9\n  map: {area: notes, columns: []}", "map: {area", "unknown public column 'notes'"),
    ("  limit: 9", "  limit: 9\n  map: {area: place, columns: [notes]}", "map: {area", "unknown public column 'notes'"),
    (
        "  limit: 9",
        "  limit: 9\n  map: {area: place, columns: [place.x]}",
        "map: {area",
        "'place' is not a column that refers",
    ),
    (
        "  limit: 9",
        "  limit: 9\n  map: {area: place, columns: [firm.X y]}",
        "map: {area",
        "'firm' is not a column that refers",
    ),
    ("badges: [fit]", "badges: [place]", "badges: [place]", "is not of type boolean"),
    ("where: {colour: [red]}", "where: {colour: [blue]}", "where: {colour: [blue]}", "unknown code 'blue'"),
    ("column: parts, as: table", "column: parts, as: text", "column: parts", "cannot be shown as text"),
    ("unit: firm", "unit: place", "unit: place", "unknown column of the step 'place'"),
    ("unit: firm", "due: firm", "due: firm", "is not a date"),
    ("paused: [todo]", "paused: [late]", "paused: [late]", "unknown state 'late'"),
    ("members: [size]", "members: [length]", "members: [length]", "unknown member"),
]


@pytest.mark.parametrize(
    ("old", "new", "place", "says"), BAD, ids=[f"{i}-{says[:30]}" for i, (*_, says) in enumerate(BAD)]
)
def test_a_bad_file_is_refused_with_its_line_and_the_remedy(old: str, new: str, place: str, says: str) -> None:
    """Every complaint names the file, the line to look at, what is wrong and what to do, in both languages."""
    text = changed(old, new)
    with pytest.raises(RegisterError) as caught:
        parse_register(text, "bench.yml")
    error = caught.value
    assert says in error.en
    assert (error.file, error.line) == ("bench.yml", line_of(text, place))
    assert error.en.startswith(f"bench.yml:{error.line}: ")
    assert error.en.rsplit(". ", 1)[1].strip()
    assert error.zh.startswith(f"bench.yml 第 {error.line} 行：")
    assert "。" in error.zh


def test_public_fields_need_a_skeleton() -> None:
    """Without a skeleton not even the presence of a row is public."""
    text = changed("skeleton: {community: place, prefix: 2, month: built_on}\nnumber: true", "skeleton: none")
    with pytest.raises(RegisterError, match="public fields need a skeleton"):
        parse_register(text, "bench.yml")


@pytest.mark.parametrize("text", ["", "# nothing\n", "x" * (MAX_REGISTER_CHARS + 1), "[]", "bench", "--- 1\n--- 2\n"])
def test_what_is_no_declaration_is_refused(text: str) -> None:
    """Empty, oversized, or another kind of document."""
    with pytest.raises(RegisterError):
        parse_register(text, "x.yml")


def test_a_group_needs_two_columns() -> None:
    """A group of one is a plain field."""
    text = "register: a\nversion: 1\nlabel: A\nkey: uuid\nskeleton: {}\nwrite: [w]\nread: {}\nfields:\n  g:\n"
    text += "    label: G\n    class: public\n    group: {d: {label: D, type: date}}\n"
    with pytest.raises(RegisterError, match=r"x\.yml:12: a group has two columns"):
        parse_register(text, "x.yml")


def test_a_register_without_fields_and_one_with_too_many_columns() -> None:
    """At least one field, at most MAX_COLUMNS columns."""
    head = "register: a\nversion: 1\nlabel: A\nkey: uuid\nskeleton: {}\nwrite: [w]\nread: {}\nfields: "
    with pytest.raises(RegisterError, match="no fields"):
        parse_register(head + "{}", "x.yml")
    many = "".join(f"\n  c{n}: {{label: C, type: date, class: public}}" for n in range(201))
    with pytest.raises(RegisterError, match="more than 200 columns"):
        parse_register(head + many, "x.yml")


# shipped files -------------------------------------------------------------------------------------------------------


def shipped() -> list[Register]:
    return [parse_register(path.read_text(encoding="utf-8"), path.name) for path in SHIPPED]


def test_all_shipped_registers_parse_and_fit_together() -> None:
    """Each file is named after its register; references, parents and figures fit."""
    registers = shipped()
    assert [path.stem for path in SHIPPED] == [each.name for each in registers]
    assert {each.name for each in registers if each.system} == SYSTEM_NAMES
    assert {path.stem for path in SHIPPED if path.parent.name == "system"} == SYSTEM_NAMES
    check_set(registers)


def test_the_example_of_another_place_parses() -> None:
    """A register that is not about government is only a file."""
    (path,) = EXAMPLES
    register = parse_register(path.read_text(encoding="utf-8"), path.name)
    check_set([register])
    assert register.name == path.stem
    assert register.field("keeper_phone").klass == "private"
    assert register.skeleton is not None
    assert register.skeleton.prefix == 2


def test_contacts_are_read_only_by_those_who_take_them_in() -> None:
    """Handlers, checkers, auditors and publishers never see a petitioner's phone."""
    registers = RegisterSet(shipped())
    (child,) = (each for each in registers.children("event") if each.attachment is None)
    assert child.skeleton is None
    assert child.row_class == "internal"
    assert {field.klass for field in child.fields} == {"private"}
    assert child.readable({"handler", "checker", "auditor", "publisher", "registrar"}) == ()
    assert registers.root_of(child.name).name == "event"
    assert registers.root_of("event").name == "event"


def test_no_shipped_register_publishes_coordinates_or_internal_text() -> None:
    """Where something happened is public by community only; public free text is written by a publisher."""
    for register in shipped():
        for field in register.fields:
            if field.klass == "public" and not register.system:
                assert all(column.type != "coordinate" for column in field.columns)
                assert not field.free_text or field.write == {"publisher"}


def test_only_the_registrar_makes_rows_with_natural_keys() -> None:
    """Two devices can never invent one natural key."""
    for register in shipped():
        if register.key == "natural" and not register.system:
            assert register.write == {"registrar"}


# the set -------------------------------------------------------------------------------------------------------------


def test_the_digest_of_a_set_is_as_the_protocol_page_says(bench: Register) -> None:
    """SHA-256 of canonical [[name, b64u(SHA-256(text))], …], ascending, without system registers."""
    registers = [*shipped(), bench]
    pairs = sorted([r.name, b64u(hashlib.sha256(r.text.encode()).digest())] for r in registers if not r.system)
    assert RegisterSet(registers).digest == hashlib.sha256(encode(pairs)).digest()
    assert register_set_digest(reversed(registers)) == register_set_digest(registers)
    assert register_set_digest([]) == hashlib.sha256(b"[]").digest()


def test_the_digest_changes_with_every_text() -> None:
    """One more comment in any file that is not a system register makes another set."""
    registers = shipped()
    whole = register_set_digest(registers)
    for place, register in enumerate(registers):
        other = parse_register(register.text + "# more\n", f"{register.name}.yml")
        digest = register_set_digest([*registers[:place], other, *registers[place + 1 :]])
        assert (digest == whole) == register.system


def test_a_set_is_a_mapping_in_order(bench: Register) -> None:
    """Names ascend whatever the order of arrival."""
    registers = RegisterSet([bench, *shipped()])
    assert list(registers) == sorted(registers)
    assert registers["bench"] is bench
    assert len(registers) == len(SHIPPED) + 1
    assert registers.children("bench") == ()


def test_nobody_can_replace_a_system_register() -> None:
    """A text in the log that calls itself a system register does not take the place of the real one."""
    (real,) = (each for each in shipped() if each.name == "device")
    forged = parse_register(real.text.replace("class: private", "class: public"), "device.yml")
    assert RegisterSet([real, forged])["device"] is real


def test_registers_that_do_not_fit_together_are_refused_with_their_line(bench: Register) -> None:
    """References, parents, names and figures are checked over the whole set."""
    other = parse_register(changed("ref: bench", "ref: bensh"), "bench.yml")
    with pytest.raises(RegisterError, match="no such register: bensh") as caught:
        check_set([other])
    assert caught.value.line == line_of(BENCH, "ref: bench")
    with pytest.raises(RegisterError, match="two registers have this name"):
        check_set([bench, other])
    twin = parse_register(changed("register: bench", "register: chair"), "chair.yml")
    with pytest.raises(RegisterError, match="two figures have this id"):
        check_set([bench, twin])


def test_complaints_about_a_set_name_the_file_as_it_was_given() -> None:
    """Two folders may have files of one name, and a file need not be called like its register."""
    other = parse_register(changed("ref: bench", "ref: bensh"), "some/folder/seats.yml")
    with pytest.raises(RegisterError, match=r"^some/folder/seats\.yml:33: ") as caught:
        check_set([other])
    assert caught.value.file == "some/folder/seats.yml"
    assert other == parse_register(other.text, "elsewhere.yml")


def test_a_role_that_only_one_transition_names_is_misspelt(bench: Register) -> None:
    """Devices would never have it; a role of two transitions, or of any list, may be meant."""
    check_roles([bench])
    text = changed("roles: [painter, boss]", "roles: [paintr, boss]")
    with pytest.raises(RegisterError, match=r"role .paintr. occurs nowhere else\. Did you mean .painter.") as caught:
        check_roles([parse_register(text, "bench.yml")])
    assert caught.value.line == line_of(text, "paintr")
    check_roles([parse_register(text.replace("roles: [owner]}", "roles: [owner, paintr]}"), "bench.yml")])
    check_roles([parse_register(text, "bench.yml"), read_by("paintr")])


def read_by(role: str) -> Register:
    text = "register: chair\nversion: 1\nlabel: A\nkey: uuid\nskeleton: none\nwrite: [owner]\n"
    text += f"read: {{internal: [owner, {role}]}}\nfields:\n  a: {{label: A, type: text, class: internal}}\n"
    return parse_register(text, "chair.yml")


def test_a_least_number_is_kept(bench: Register) -> None:
    """`min` is for whole numbers; empty cells stay allowed."""
    text = changed(
        "type: integer, class: public, merge: max, choices: {2: Two, 3: Three}", "type: integer, class: public, min: 2"
    )
    seats = parse_register(text, "bench.yml").field("seats").columns[0]
    assert seats.least == 2
    for value in (None, 2, 3):
        seats.check(value)
    with pytest.raises(InputError, match="must not be less than 2"):
        seats.check(1)
    assert bench.field("seats").columns[0].least is None


def test_a_child_of_a_child_is_refused() -> None:
    """A record is a row and its children; there are no grandchildren."""
    text = (
        "register: {}\nversion: 1\nlabel: A\nkey: uuid\nskeleton: {{}}\nwrite: [w]\nread: {{}}\nparent: up\nfields:\n"
    )
    text += "  up: {{label: Up, type: text, class: public, ref: {}, required: true}}\n"
    one = parse_register(text.format("a", "b"), "a.yml")
    two = parse_register(text.format("b", "a"), "b.yml")
    assert one.parent_register == "b"
    with pytest.raises(RegisterError, match="the parent is a child itself") as caught:
        check_set([one, two])
    assert caught.value.line == 8


# values --------------------------------------------------------------------------------------------------------------


def column(kind: str, **more: object) -> Column:
    return Column("c", "C", kind, **more)  # type: ignore[arg-type]


GOOD_VALUES: list[tuple[Column, list[object]]] = [
    (column("text"), ["", "甲" * 200, "two\nlines\t", "𠮷"]),
    (column("integer"), [0, -5, 2**53 - 1]),
    (column("money"), [113_612_000]),
    (column("coordinate"), [105_700_000, -180_000_000]),
    (column("boolean"), [True, False]),
    (column("date"), ["2024-02-29", "2026-11-21"]),
    (column("datetime"), ["2026-11-21T14:05:00+08:00", "2014-01-08T13:16:02+08:00"]),
    (column("code", choices=(Choice("a", "A"), Choice("b", "B"))), ["a", "b"]),
    (column("integer", choices=(Choice("0", "一般"), Choice("1", "紧急"))), [0, 1]),
    (column("list", max_length=3), [[], ["a", "b"], [1, True, None], [["00ff", 3]], [{"any": ["x", 1]}]]),
    (column("list", max_length=3, items=(Choice("name", "N"),)), [[{"name": "x"}, {}, "text"]]),
]

BAD_VALUES: list[tuple[Column, list[object]]] = [
    (column("text"), [1, True, [], "甲" * 201, "e\u0301", "a\x00b", "\x1b[31m", "\ud800"]),
    (column("integer"), [True, "1", 1.0, 2**53, -(2**53)]),
    (column("money"), ["1.00", 1.5, False, 2**53]),
    (column("coordinate"), [180_000_001, -180_000_001, 105.7, "105"]),
    (column("boolean"), [0, 1, "true"]),
    (column("date"), ["2026-02-29", "2026-13-01", "20261121", "2026-11-21T00:00:00+08:00", "２０２６-11-21", 20261121]),
    (
        column("datetime"),
        [
            "2026-11-21",
            "2026-11-21 14:05:00",
            "2026-11-21T14:05:00",
            "2026-11-21T14:05:00Z",
            "2026-11-21T14:05+08:00",
            "2026-11-21T24:05:00+08:00",
            "2026-11-31T14:05:00+08:00",
            "2026-11-21T14:05:00.5+08:00",
            "2026-11-21T14:05:00+24:00",
            "2026-11-21T14:05:00+08:00\n",
            1_795_250_000_000,
        ],
    ),
    (column("code", choices=(Choice("a", "A"),)), ["b", "", 1, "A"]),
    (column("integer", choices=(Choice("0", "一般"),)), [1, "0"]),
    (
        column("list", max_length=3),
        ["a", {"a": 1}, [1, 2, 3, 4], [1.5], ["e\u0301"], [[[1]]], [{"a": {"b": 1}}], [["x"] * 101], [2**53]],
    ),
    (column("list", max_length=3, items=(Choice("name", "N"),)), [[{"nmae": "x"}], [1], [["x"]]]),
]


@pytest.mark.parametrize(("declared", "value"), [(c, v) for c, values in GOOD_VALUES for v in [*values, None]])
def test_a_value_of_its_type_may_stand(declared: Column, value: object) -> None:
    """None always may."""
    declared.check(value)  # type: ignore[arg-type]
    Field("c", "C", "public", (declared,)).check(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(("declared", "value"), [(c, v) for c, values in BAD_VALUES for v in values])
def test_a_value_of_another_type_is_refused_by_name(declared: Column, value: object) -> None:
    """The complaint names the column in both languages."""
    with pytest.raises(InputError) as caught:
        Field("c", "C", "public", (declared,)).check(value)  # type: ignore[arg-type]
    assert caught.value.en.startswith("column c ")
    assert caught.value.zh.startswith("“C”（c）")


def test_a_group_is_written_whole(bench: Register) -> None:
    """All columns, none else, at least one filled; an empty group is null."""
    work = bench.field("work")
    row = {"state": "todo", "firm": None, "reason": None, "place": "x"}
    value = work.value(row)
    assert value == {"state": "todo", "firm": None, "reason": None}
    work.check(value)
    work.check(None)
    assert work.columns_of(value) == {"state": "todo", "firm": None, "reason": None}
    assert work.value(dict.fromkeys(row)) is None
    assert work.columns_of(None) == {"state": None, "firm": None, "reason": None}
    bad: list[object] = [
        "todo",
        {"state": "todo"},
        {**row},
        {"state": None, "firm": None, "reason": None},
        {"state": "doing", "firm": None, "reason": None},
    ]
    for each in bad:
        with pytest.raises(InputError):
            work.check(each)  # type: ignore[arg-type]


def test_a_plain_field_is_its_column(bench: Register) -> None:
    """value and columns_of are inverse."""
    place = bench.field("place")
    assert place.value({"place": "ab"}) == "ab"
    assert place.value({}) is None
    assert place.columns_of("ab") == {"place": "ab"}


# figures -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "decimals", "n", "d", "text"),
    [
        ("rate", 1, 544, 563, "96.6% (544/563)"),
        ("rate", 1, 150, 200, "75.0% (150/200)"),
        ("rate", 1, 113, 113, "100.0% (113/113)"),
        ("rate", 1, 0, 5, "0.0% (0/5)"),
        ("rate", 0, 1, 8, "13% (1/8)"),
        ("rate", 1, 1, 2000, "0.1% (1/2000)"),  # half up: 0.05
        ("rate", 1, 0, 0, "—"),
        ("ratio", 2, 181, 85, "2.13"),
        ("ratio", 2, 88415, 31623, "2.80"),
        ("ratio", 1, 31623, 181, "174.7"),
        ("ratio", 1, 88415, 181, "488.5"),
        ("ratio", 1, -1, 4, "-0.3"),
        ("ratio", 1, 5, None, "—"),
        ("ratio", 1, None, 5, "—"),
        ("count", 0, 563, None, "563"),
        ("count", 0, 0, None, "0"),
        ("count", 0, None, None, "—"),
        ("text", 0, "1500余", None, "1500余"),
    ],
)
def test_a_figure_is_rounded_half_up_and_shows_its_parts(
    kind: str, decimals: int, n: int | str | None, d: int | None, text: str
) -> None:
    """Percent with n/d beside it; nothing to divide by is a dash."""
    figure = Figure("f", "F", "", kind, "select 1", decimals=decimals)  # type: ignore[arg-type]
    assert figure.format(n, d) == text


def test_every_shipped_figure_can_be_computed_from_public_columns() -> None:
    """The SQL names only published tables and columns; 563 reported and 544 closed give 96.6%."""
    registers = shipped()
    conn = sqlite3.connect(":memory:")
    for register in registers:
        columns = [column.name for field in register.fields if field.klass == "public" for column in field.columns]
        conn.execute(f'CREATE TABLE "{register.name}" ({", ".join(["key", "_community", "_month", *columns])})')
    conn.execute("CREATE TABLE meta (key, value)")
    conn.execute("CREATE TABLE history (idx, register, key, field, value, received)")
    conn.execute("CREATE TABLE leaf (idx, device, verdict, delay, worked)")
    conn.execute("CREATE TABLE obligation (item, source, state)")
    states = ["closed"] * 500 + ["evaluated"] * 4 + ["archived"] * 40 + ["handling"] * 18 + ["rejected"] + ["void"] * 7
    conn.executemany("INSERT INTO event (state) VALUES (?)", [(state,) for state in states])
    conn.executemany("INSERT INTO compound (kind) VALUES (?)", [("new",)] * 41 + [("old",)] * 17)
    texts = {}
    for figure in (figure for register in registers for figure in register.figures):
        n, d = (conn.execute(sql).fetchone()[0] if sql else None for sql in (figure.n, figure.d))
        texts[figure.id] = figure.format(n, d)
    conn.close()
    assert texts["event_closed_rate"] == "96.6% (544/563)"
    assert (texts["event_reported"], texts["event_not_closed"], texts["event_void"]) == ("563", "19", "7")
    assert (texts["compounds_new"], texts["compounds_old"], texts["compounds"]) == ("41", "17", "58")
    assert texts["grids_per_worker"] == "—"


def test_parsing_again_gives_the_same_register(bench: Register) -> None:
    """The text says everything, so a register is equal to the one parsed from its text."""
    parse_register.cache_clear()
    again = parse_register(bench.text, "elsewhere.yml")
    assert again is not bench
    assert again == bench
    assert hash(again) == hash(bench)
    assert again.portal == bench.portal
    assert again.workflow == bench.workflow
