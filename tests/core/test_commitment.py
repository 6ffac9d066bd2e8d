"""Paths, bodies, digests: what is committed to, and that nothing else opens the commitment."""

import base64
import hashlib
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from syncgov.core.canonical import b64u
from syncgov.core.commitment import (
    MAX_BODY_BYTES,
    Path,
    Write,
    digest,
    format_path,
    make_body,
    meta_path,
    open_body,
    parse_body,
    parse_path,
    redact,
    salts_of,
)
from syncgov.core.statement import EMPTY_ROOT, MAX_WRITES, Seen, Statement
from syncgov.core.tree import root_of_inputs
from syncgov.errors import CommitmentError, FormatError, LimitError

DEV = "0123456789abcdef" * 2
SEED = bytes(range(32))

keys = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), min_size=1, max_size=128)
tables = st.from_regex(r"[a-z][a-z0-9_]{0,62}", fullmatch=True)
fields = st.from_regex(r"[a-z_][a-z0-9_]{0,62}", fullmatch=True)


def statement(digests: tuple[bytes, ...], pub: int, n: int | None = None) -> Statement:
    """Return a statement that commits to *digests*."""
    root, nothing = b64u(root_of_inputs(digests)), b64u(bytes(32))
    return Statement(
        0, DEV, len(digests) if n is None else n, nothing, pub, nothing, root, Seen(EMPTY_ROOT, 0), 1, 0, 1
    )


# -- paths --------------------


@given(tables, keys, fields)
def test_a_path_has_one_spelling_and_comes_back(table: str, key: str, field: str) -> None:
    """Whatever a key holds, tildes and slashes too."""
    path = format_path(table, key, field)
    assert parse_path(path) == Path(table, key, field)
    assert path.count("/") == 2


@pytest.mark.parametrize(
    ("key", "written"),
    [("a/b", "a~1b"), ("a~b", "a~0b"), ("~1", "~01"), ("/~", "~1~0"), ("路/灯", "路~1灯"), ("%2F", "%2F")],
)
def test_escapes_are_those_of_rfc_6901(key: str, written: str) -> None:
    """`~` is written `~0`, `/` is written `~1`, and nothing else is escaped."""
    assert format_path("t", key, "f") == f"t/{written}/f"
    assert parse_path(f"t/{written}/f").key == key


@given(keys, keys)
def test_two_keys_have_two_paths(one: str, other: str) -> None:
    """No key can be mistaken for another."""
    assert (format_path("t", one, "f") == format_path("t", other, "f")) == (one == other)


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "t", "t/k", "t/k/f/", "/k/f", "t//f", "t/k/", "T/k/f", "1/k/f", "t-t/k/f", "_t/k/f", "t/k/F", "t/k/1",
        "t/k/f-f", "t/a/b/f", "t/~/f", "t/~2/f", "t/a~/f", "t/\x1f/f", "t/k/f\n", f"{'t' * 64}/k/f", f"t/k/{'f' * 64}",
        f"t/{'k' * 129}/f", f"t/{'~0' * 129}/f", "_changesets/k/f",
    ],
)  # fmt: skip
def test_what_is_no_path(path: str) -> None:
    """Parts missing, other letters, other escapes, too long."""
    with pytest.raises(FormatError):
        parse_path(path)


def test_the_longest_path() -> None:
    """63 letters, 128 characters of a key even if each is escaped, 63 letters."""
    for key in ("k" * 128, "~" * 128, "/" * 128, "路" * 128):
        path = format_path("t" * 63, key, "f" * 63)
        assert parse_path(path).key == key
    for key in ("", "k" * 129, "\x00", "a\nb"):
        with pytest.raises(FormatError):
            format_path("t", key, "f")
    assert parse_path(meta_path((DEV, 7), "by")) == ("_changeset", f"{DEV}.7", "by")


# -- digests --------------------


def test_a_digest_is_that_of_an_sd_jwt_disclosure() -> None:
    """RFC 9901: SHA-256 of the ASCII of base64url of the JSON array of salt, name, value."""
    write = Write("task/k/title", "路灯", ((DEV, 3),))
    salt = salts_of(SEED, 1)[0]
    disclosure = rfc8785.dumps([salt, "task/k/title", {"over": [[DEV, 3]], "set": "路灯"}])
    text = base64.urlsafe_b64encode(disclosure).rstrip(b"=")
    assert digest(salt, write) == hashlib.sha256(text).digest()


def test_salts_are_slices_of_shake() -> None:
    """16 bytes a position, none like another, the same whatever the number of writes."""
    stream = hashlib.shake_256(SEED).digest(16 * 50)
    assert salts_of(SEED, 50) == [b64u(stream[i : i + 16]) for i in range(0, 800, 16)]
    assert salts_of(SEED, 3) == salts_of(SEED, 50)[:3]
    assert len(set(salts_of(SEED, 50))) == 50
    assert salts_of(SEED, 0) == []


@pytest.mark.parametrize("other", [Write("t/k/g", "v", ()), Write("t/k/f", "w", ()), Write("t/k/f", "v", ((DEV, 1),))])
def test_a_digest_is_of_path_value_and_over(other: Write) -> None:
    """Changing any of the three, or the salt, changes the digest."""
    salts = salts_of(SEED, 2)
    plain = Write("t/k/f", "v", ())
    assert len({digest(salts[0], plain), digest(salts[0], other), digest(salts[1], plain)}) == 3


# -- bodies --------------------


def test_writes_are_sorted_in_each_class() -> None:
    """By code point, public ones first, whatever order they are given in."""
    public = [Write(f"t/{key}/f", 1, ()) for key in ("b", "a", "路", "Z", "~0")]
    raw, body = make_body(public, [Write("t/a/a", 1, ())], SEED)
    paths = [path for path, _value, _over in json.loads(raw)["writes"]]
    assert paths == [*sorted(path for path in paths[:5]), "t/a/a"]
    assert [w.path for _p, w in body.disclosed()] == paths
    assert open_body(raw, statement(body.digests, 5)).digests == body.digests


def test_the_boundary_of_the_classes_is_signed() -> None:
    """Moving it makes the order wrong, or, where it does not, does not change what was committed."""
    raw, body = make_body([Write("t/k/b", 1, ())], [Write("t/k/a", 1, ())], SEED)
    open_body(raw, statement(body.digests, 1))
    for pub in (0, 2):
        with pytest.raises(FormatError):
            open_body(raw, statement(body.digests, pub))


def test_the_number_of_writes_is_bounded() -> None:
    """1 to 4096, and no statement with another number opens it."""
    with pytest.raises(FormatError):
        make_body([], [], SEED)
    most = [Write(f"t/{number:04}/f", 1, ()) for number in range(MAX_WRITES)]
    raw, body = make_body([], most, SEED)
    assert len(open_body(raw, statement(body.digests, 0)).writes) == MAX_WRITES
    with pytest.raises(FormatError):
        make_body([], [*most, Write("t/x/f", 1, ())], SEED)
    for n in (MAX_WRITES - 1, MAX_WRITES + 1):
        with pytest.raises(CommitmentError):
            open_body(raw, statement(body.digests, 0, n))


def test_the_bytes_of_a_body_are_bounded() -> None:
    """1 MiB."""
    with pytest.raises(LimitError):
        make_body([], [Write("t/k/f", "x" * MAX_BODY_BYTES, ())], SEED)
    with pytest.raises(LimitError):
        parse_body(b" " * (MAX_BODY_BYTES + 1), 0)


@pytest.mark.parametrize(
    "value",
    [1.5, float("nan"), 2**53, "e\u0301", "\ud800", {"é": 1}, [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]], b"x", {1: 2}],
)
def test_values_beyond_canonical_json_are_not_committed(value: Any) -> None:
    """What could not be opened again is not made."""
    with pytest.raises(FormatError):
        make_body([], [Write("t/k/f", value, ())], SEED)


@pytest.mark.parametrize(
    "over",
    [
        [[DEV, 0]],
        [[DEV, -1]],
        [["x", 1]],
        [[DEV.upper(), 1]],
        [[DEV, 2], [DEV, 1]],
        [[DEV, 1], [DEV, 1]],
        [[DEV, 2**53]],
    ],
)
def test_over_is_a_strictly_ascending_list_of_dots(over: list[Any]) -> None:
    """No dot twice, none of another form."""
    raw, _body = make_body([], [Write("t/k/f", 1, ((DEV, 77),))], SEED)
    named = json.dumps(over, separators=(",", ":")).encode()
    with pytest.raises(FormatError):
        parse_body(raw.replace(b'[["%s",77]]' % DEV.encode(), named), 0)


def test_hidden_writes_say_nothing() -> None:
    """No path, value, salt or seed of a hidden write is in the redacted bytes; the others stay."""
    writes = [Write("t/k/a", "sichtbar", ()), Write("t/k/b", "geheim", ()), Write("t/k/c", 7, ())]
    raw, body = make_body(writes, [], SEED)
    redacted = redact(body, lambda position, _write: position != 1)
    assert b"geheim" in raw
    assert b"geheim" not in redacted
    assert b"t/k/b" not in redacted
    assert str(body.salts[1]).encode() not in redacted
    assert b64u(SEED).encode() not in redacted
    opened = open_body(redacted, statement(body.digests, 3))
    assert opened.find("t/k/a") == writes[0]
    assert opened.find("t/k/b") is None
    assert [position for position, _write in opened.disclosed()] == [0, 2]


@given(st.binary(max_size=200) | st.from_regex(rb'\{"(seed|slots)":.{0,60}\}', fullmatch=True), st.integers(0, 3))
def test_any_bytes_are_a_format_error_at_worst(raw: bytes, pub: int) -> None:
    """Whatever somebody sends as a body."""
    try:
        parse_body(raw, pub)
    except FormatError:
        return
    assert raw.startswith(b"{")
