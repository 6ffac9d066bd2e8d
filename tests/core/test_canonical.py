"""Canonical JSON is RFC 8785 within our restrictions, and nothing else is accepted."""

import importlib
import json
import pkgutil
import unicodedata
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

import syncgov.core
from syncgov.core import canonical
from syncgov.core.bundle import Reply, Request
from syncgov.core.canonical import MAX_DEPTH, MAX_INT
from syncgov.errors import FormatError, LimitError

BIG = 1 << 20

names = st.text(st.characters(codec="ascii"), max_size=8)
strings = st.text(st.characters(exclude_categories=["Cs"])).map(lambda text: unicodedata.normalize("NFC", text))
scalars = st.none() | st.booleans() | st.integers(-MAX_INT, MAX_INT) | strings
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def depth(value: Any) -> int:
    """Return how many arrays and objects are nested in each other."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def integers_of(text: str) -> Any:
    """Parse JSON in which 56.0 means 56; other fractions stay what they are."""
    return json.loads(text, parse_float=lambda digits: int(float(digits)) if float(digits) % 1 == 0 else float(digits))


def test_jcs_vectors_agree_or_are_refused(shared: Path) -> None:
    """Within the restrictions the bytes are the published ones; other numbers, names or forms are refused."""
    agreed, refused = set(), set()
    for file in sorted((shared / "vectors/jcs/input").glob("*.json")):
        wanted = bytes.fromhex((shared / f"vectors/jcs/outhex/{file.stem}.txt").read_text())
        try:
            encoded = canonical.encode(integers_of(file.read_text()))
        except FormatError:
            refused.add(file.stem)
            with pytest.raises(FormatError):
                canonical.decode(wanted, max_bytes=BIG)
        else:
            agreed.add(file.stem)
            assert encoded == wanted
            assert canonical.encode(canonical.decode(wanted, max_bytes=BIG)) == wanted
    assert agreed == {"arrays", "structures"}
    assert refused == {"french", "unicode", "values", "weird"}  # names; not NFC; floats; names


def test_the_published_outputs_are_the_published_bytes(shared: Path) -> None:
    """`output` says as text what `outhex` says as bytes; what is within the restrictions is read back unchanged."""
    read = set()
    for file in sorted((shared / "vectors/jcs/output").glob("*.json")):
        data = file.read_bytes()
        assert data == bytes.fromhex((shared / f"vectors/jcs/outhex/{file.stem}.txt").read_text())
        assert rfc8785.dumps(json.loads(data)) == data
        try:
            assert canonical.encode(canonical.decode(data, max_bytes=BIG)) == data
        except FormatError:
            continue
        read.add(file.stem)
    assert read == {"arrays", "structures"}


def test_the_strings_of_the_jcs_vectors_agree(shared: Path) -> None:
    """Every name and string of the vectors that is in NFC is written, as a value, as JCS writes it."""
    done = 0
    for file in sorted((shared / "vectors/jcs/input").glob("*.json")):
        loaded = json.loads(file.read_text())
        texts = list(loaded) if isinstance(loaded, dict) else []
        texts += [text for text in (loaded.values() if isinstance(loaded, dict) else loaded) if isinstance(text, str)]
        for text in texts:
            if unicodedata.is_normalized("NFC", text):
                assert canonical.encode(text) == rfc8785.dumps(text)
                done += 1
    assert done > 25


@given(values)
def test_encode_is_rfc_8785(value: Any) -> None:
    """The fast encoder and the reference encoder write the same bytes."""
    if depth(value) <= MAX_DEPTH:
        assert canonical.encode(value) == rfc8785.dumps(value)


@given(values)
def test_decode_gives_back_what_was_encoded(value: Any) -> None:
    """Round trip, in type as well: True is not 1."""
    if depth(value) <= MAX_DEPTH:
        decoded = canonical.decode(canonical.encode(value), max_bytes=BIG)
        assert repr(decoded) == repr(value) or decoded == value
        assert canonical.encode(decoded) == canonical.encode(value)


@given(values, st.data())
def test_one_byte_changed_is_refused_or_another_value(value: Any, data: st.DataObject) -> None:
    """No two spellings of one value."""
    if depth(value) > MAX_DEPTH:
        return
    raw = canonical.encode(value)
    at = data.draw(st.integers(0, len(raw) - 1))
    changed = raw[:at] + bytes([raw[at] ^ data.draw(st.integers(1, 255))]) + raw[at + 1 :]
    for other in (changed, raw[:at], raw + b" ", b" " + raw, raw + b"\n"):
        try:
            decoded = canonical.decode(other, max_bytes=BIG)
        except FormatError:
            continue
        assert canonical.encode(decoded) == other != raw


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\u0dDeE+-.1 tfn\ud800', max_size=30))
def test_any_bytes_are_a_format_error_at_worst(data: bytes | str) -> None:
    """Input of any kind: a value that encodes to the same bytes, or FormatError."""
    raw = data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")
    try:
        decoded = canonical.decode(raw, max_bytes=BIG)
    except FormatError:
        return
    assert canonical.encode(decoded) == raw


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" 1",
        b"1 ",
        b"1\n",
        b"01",
        b"+1",
        b"-0",
        b"1.0",
        b"1.5",
        b"1e2",
        b"NaN",
        b"Infinity",
        b"9007199254740992",
        b"-9007199254740992",
        b"1" * 400,
        b"True",
        b"'a'",
        b"{a:1}",
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1,}',
        b"[1,]",
        b"[1][2]",
        b"// c\n1",
        b'"\\u0041"',
        b'"\\/"',
        b'"\\u000A"',
        b'"\\u000a"',
        b'"\\u001F"',
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'"\\ud83d\\ude02"',
        b'"\xed\xa0\x80"',
        b'"\xc0\xaf"',
        b'"\xff"',
        b'"\n"',
        b"\xef\xbb\xbf1",
        '"A\u030a"'.encode(),
        '{"é":1}'.encode(),
        b'{"\\u00e9":1}',
        b"[" * 17 + b"]" * 17,
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_other_spellings_are_refused(raw: bytes) -> None:
    """Each is JSON in another form, JSON beyond the restrictions, or no JSON."""
    with pytest.raises(FormatError) as caught:
        canonical.decode(raw, max_bytes=BIG)
    assert type(caught.value) is FormatError


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        1.5,
        float("nan"),
        MAX_INT + 1,
        -MAX_INT - 1,
        "A\u030a",
        "\ud800",
        ["\udc00"],
        {"é": 1},
        {"\ud800": 1},
        {1: 1},
        {None: 1},
        b"bytes",
        {1, 2},
        object(),
    ],
)
def test_values_beyond_the_restrictions_are_not_encoded(value: Any) -> None:
    """What could not be decoded again is not encoded."""
    with pytest.raises(FormatError) as caught:
        canonical.encode(value)
    assert type(caught.value) is FormatError


def test_nesting_stops_at_sixteen() -> None:
    """16 arrays in each other pass, 17 do not, in both directions."""
    deep: list[Any] = []
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    assert canonical.decode(canonical.encode(deep), max_bytes=BIG) == deep
    for deeper in ([deep], {"a": deep}, (deep,)):
        with pytest.raises(FormatError):
            canonical.encode(deeper)


def test_the_byte_limit_is_exact() -> None:
    """As many bytes as allowed pass; one more is a limit error that names the input."""
    assert canonical.decode(b'"abc"', max_bytes=5) == "abc"
    with pytest.raises(LimitError, match="body"):
        canonical.decode(b'"abc"', max_bytes=4, what="body")


class Pair(msgspec.Struct, forbid_unknown_fields=True):
    """A struct as `decode_as` wants it: members declared in canonical order."""

    a: int
    b: str


def test_structs_are_as_strict() -> None:
    """`decode_as` takes the canonical form of the declared members only."""
    assert canonical.decode_as(b'{"a":1,"b":"x"}', Pair, max_bytes=99, what="pair") == Pair(1, "x")
    for raw in (b'{"b":"x","a":1}', b'{"a":1,"b":"x","c":1}', b'{"a":1}', b'{"a":1.0,"b":"x"}', b'{"a":1,"b":"x"} '):
        with pytest.raises(FormatError):
            canonical.decode_as(raw, Pair, max_bytes=99, what="pair")
    for raw in ('{"a":1,"b":"A\u030a"}'.encode(), b'{"a":1,"b":"\xff"}', b'{"a":1,"a":1,"b":"x"}'):
        with pytest.raises(FormatError):
            canonical.decode_as(raw, Pair, max_bytes=99, what="pair")
    with pytest.raises(LimitError):
        canonical.decode_as(b'{"a":1,"b":"x"}', Pair, max_bytes=14, what="pair")


def test_structs_declare_their_members_in_canonical_order() -> None:
    """msgspec writes members as declared, so another order would make `decode_as` take what is not canonical.

    The messages of `wire` are plain JSON, and so are those in bundles, which are made of them: nothing reads them as
    canonical. Lists have no names.
    """
    done = 0
    for module in pkgutil.iter_modules(syncgov.core.__path__, "syncgov.core."):
        for item in vars(importlib.import_module(module.name)).values():
            if isinstance(item, type) and issubclass(item, msgspec.Struct) and item.__module__ != "syncgov.core.wire":
                if item.__struct_config__.array_like or item in (Reply, Request):
                    continue
                members = [*item.__struct_encode_fields__]
                assert members == sorted(members), item
                done += bool(members)
    assert done >= 3


@given(st.binary(max_size=70))
def test_base64_round_trips(data: bytes) -> None:
    """Both alphabets, with and without a wanted length."""
    assert canonical.unb64u(canonical.b64u(data)) == canonical.unb64(canonical.b64(data)) == data
    assert canonical.unb64u(canonical.b64u(data), len(data)) == canonical.unb64(canonical.b64(data), len(data)) == data
    for decode, text in ((canonical.unb64u, canonical.b64u(data)), (canonical.unb64, canonical.b64(data))):
        with pytest.raises(FormatError):
            decode(text, len(data) + 1)


@given(st.text(alphabet="AQgw_-+/=é \n!", max_size=12))
def test_base64_has_one_spelling(text: str) -> None:
    """Any text is refused, or is exactly what the encoder writes."""
    for decode, encode in ((canonical.unb64u, canonical.b64u), (canonical.unb64, canonical.b64)):
        try:
            data = decode(text)
        except FormatError:
            continue
        assert encode(data) == text


@pytest.mark.parametrize("text", ["QQ==", "QR", "Q", "QQ ", "Q Q", "QQ\n", "+/", "é", "Q!Q"])
def test_other_spellings_of_base64url_are_refused(text: str) -> None:
    """Padding, stray bits, spaces and the other alphabet."""
    with pytest.raises(FormatError):
        canonical.unb64u(text)


@pytest.mark.parametrize("text", ["QQ", "QQ=", "QR==", "QQ===", "QQ==\n", "-_==", "é", "Q!Q="])
def test_other_spellings_of_base64_are_refused(text: str) -> None:
    """Missing padding, stray bits, line ends and the other alphabet."""
    with pytest.raises(FormatError):
        canonical.unb64(text)
