"""Signed notes, vkeys and checkpoints."""

import json
from base64 import b64encode
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncgov.core import note
from syncgov.core.keys import SigningKey
from syncgov.core.note import Checkpoint, Note, NoteSignature
from syncgov.core.tree import EMPTY_ROOT
from syncgov.errors import FormatError, LimitError, SignatureError, SyncgovError

LOG = SigningKey(b"L" * 32)
OTHER = SigningKey(b"O" * 32)
ORIGIN = "log.example/天水郡"
VKEY = note.format_vkey(ORIGIN, LOG.public)
OTHER_VKEY = note.format_vkey("witness.example", OTHER.public)
CHECKPOINT = Checkpoint(ORIGIN, 812, sha256(b"root").digest())
SIGNED = note.sign_checkpoint(CHECKPOINT, LOG)

origins = st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"], exclude_characters="+"), min_size=1, max_size=30)
hashes = st.binary(min_size=32, max_size=32)
checkpoints = st.builds(Checkpoint, origins, st.integers(1, 2**53 - 1), hashes)
signatures = st.builds(NoteSignature, origins, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=80))
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=[chr(c) for c in range(32)]), max_size=20)
notes = st.builds(
    lambda lines, signed: Note("".join(f"{line}\n" for line in lines), tuple(signed)),
    st.lists(texts, min_size=1, max_size=4),
    st.lists(signatures, min_size=1, max_size=4),
)


def refused(error: type[SyncgovError], text: str, vkey: str = VKEY) -> None:
    """Assert that `verify_checkpoint` raises exactly *error*."""
    with pytest.raises(error) as caught:
        note.verify_checkpoint(text, vkey)
    assert type(caught.value) is error


def line(name: str, blob: bytes) -> str:
    """Return one signature line."""
    return f"— {name} {b64encode(blob).decode()}\n"


def test_the_specifications_example_opens(shared: Path) -> None:
    """The example of c2sp.org/signed-note opens under its key, and under no other."""
    example = json.loads((shared / "vectors/c2sp_signed_note_example.json").read_text())
    opened = note.open_note(example["note"], [VKEY, example["vkey"]])
    assert opened.text == "This is an example message.\n"
    assert [signature.name for signature in opened.signatures] == ["example.com/foo"]
    assert note.format_note(opened) == example["note"]
    key = note.parse_vkey(example["vkey"])
    assert note.format_vkey(key.name, key.public) == example["vkey"]
    assert note.parse_note(example["note"]).signatures[0].key_id == key.id == note.key_id(key.name, key.public)
    with pytest.raises(SignatureError):
        note.open_note(example["note"], [VKEY])
    with pytest.raises(SignatureError):
        note.open_note(example["note"].replace("example message", "example massage"), [example["vkey"]])


def test_a_checkpoint_has_these_bytes() -> None:
    """Origin, size, root, blank line, and one line of the log's signature over the first three."""
    root = b64encode(CHECKPOINT.root).decode()
    blob = note.key_id(ORIGIN, LOG.public) + LOG.sign(f"{ORIGIN}\n812\n{root}\n".encode())
    assert f"{ORIGIN}\n812\n{root}\n\n{line(ORIGIN, blob)}" == SIGNED
    assert note.verify_checkpoint(SIGNED, VKEY) == CHECKPOINT


@given(checkpoints)
def test_checkpoints_round_trip(checkpoint: Checkpoint) -> None:
    """What is signed verifies to the same value."""
    vkey = note.format_vkey(checkpoint.origin, LOG.public)
    assert note.parse_vkey(vkey).public == LOG.public
    assert note.verify_checkpoint(note.sign_checkpoint(checkpoint, LOG), vkey) == checkpoint
    assert note.parse_checkpoint(note.format_checkpoint(checkpoint)) == checkpoint


@given(notes)
def test_notes_round_trip(value: Note) -> None:
    """Any text, with empty lines too, and any signatures come back as they were."""
    text = note.format_note(value)
    assert note.parse_note(text) == value


def test_every_single_byte_change_of_a_checkpoint_is_refused() -> None:
    """Each byte, replaced by each of many others: never accepted, never another error than a named one."""
    raw = SIGNED.encode()
    done = 0
    for at in range(len(raw)):
        for new in {0, 10, 32, 43, 48, 61, 65, 97, 0xE2, raw[at] ^ 1, raw[at] ^ 32, raw[at] ^ 128} - {raw[at]}:
            try:
                text = (raw[:at] + bytes([new]) + raw[at + 1 :]).decode()
            except UnicodeDecodeError:
                continue
            with pytest.raises((FormatError, SignatureError)):
                note.verify_checkpoint(text, VKEY)
            done += 1
    assert done > 1500


@given(notes, st.data())
def test_a_note_with_one_character_changed_is_another_note(value: Note, data: st.DataObject) -> None:
    """A changed character is refused or parses to something else; so is a cut note."""
    text = note.format_note(value)
    at = data.draw(st.integers(0, len(text) - 1))
    new = data.draw(st.characters(exclude_categories=["Cs"]).filter(lambda character: character != text[at]))
    for other in (text[:at] + new + text[at + 1 :], text[:at]):
        try:
            parsed = note.parse_note(other)
        except FormatError:
            continue
        assert parsed != value
        assert note.format_note(parsed) == other


@given(st.text(alphabet="a1 \n+—/=\0é", max_size=60))
def test_any_text_is_refused_or_written_again(text: str) -> None:
    """No parser accepts what its formatter would not write, and none raises another error."""
    with suppress(FormatError):
        assert note.format_note(note.parse_note(text)) == text
    with suppress(FormatError):
        assert note.format_checkpoint(note.parse_checkpoint(text)) == text
    with suppress(FormatError):
        key = note.parse_vkey(text)
        assert note.format_vkey(key.name, key.public) == text


def test_unknown_signatures_are_ignored() -> None:
    """Same name with another id, same id with another name, another length: none matters, sixteen are accepted."""
    key_id = note.key_id(ORIGIN, LOG.public)
    extra = line(ORIGIN, b"\0\0\0\0" + b"x" * 64) + line("other.example", key_id + b"x" * 64)
    extra += "".join(line(f"witness{i}.example", b"abcd" + b"q" * 5000) for i in range(13))
    text, _, own = SIGNED.partition("\n\n")
    many = f"{text}\n\n{extra}{own}"
    assert many.count("— ") == 16
    assert note.verify_checkpoint(many, VKEY) == CHECKPOINT
    assert note.open_note(many, [VKEY]).signatures == note.parse_note(SIGNED).signatures


def test_a_known_key_that_fails_rejects_the_note() -> None:
    """Even beside a valid signature of the same key, or of another known key."""
    wrong = line(ORIGIN, note.key_id(ORIGIN, LOG.public) + LOG.sign(b"something else"))
    refused(SignatureError, SIGNED + wrong)
    refused(SignatureError, SIGNED + line(ORIGIN, note.key_id(ORIGIN, LOG.public) + b"short"))
    forged = line("witness.example", note.key_id("witness.example", OTHER.public) + b"x" * 64)
    assert note.verify_checkpoint(SIGNED + forged, VKEY) == CHECKPOINT  # to whom the witness is unknown
    with pytest.raises(SignatureError) as caught:
        note.open_note(SIGNED + forged, [VKEY, OTHER_VKEY])
    assert "witness.example+" in str(caught.value)


def test_each_known_key_counts_once() -> None:
    """A signature repeated is one signature; two known keys are two."""
    own = SIGNED.partition("\n\n")[2]
    assert len(note.open_note(SIGNED + own + own, [VKEY]).signatures) == 1
    cosigned = SIGNED + note.sign_note(note.parse_note(SIGNED).text, "witness.example", OTHER).partition("\n\n")[2]
    assert [s.name for s in note.open_note(cosigned, [VKEY, OTHER_VKEY]).signatures] == [ORIGIN, "witness.example"]


def test_no_signature_of_the_key_is_refused() -> None:
    """Another key, under its own name or under the log's."""
    refused(SignatureError, SIGNED, OTHER_VKEY)
    refused(SignatureError, note.sign_checkpoint(CHECKPOINT, OTHER))


def test_a_key_may_sign_only_its_own_origin() -> None:
    """A valid signature of the log's key over another origin's checkpoint is refused."""
    text = note.format_checkpoint(Checkpoint("another.example", 812, CHECKPOINT.root))
    refused(FormatError, note.sign_note(text, ORIGIN, LOG))


ROOT_LINE = b64encode(CHECKPOINT.root).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{ORIGIN}\n812\n",
        f"{ORIGIN}\n812\n{ROOT_LINE}",
        f"{ORIGIN}\n812\n{ROOT_LINE}\nextension\n",
        f"{ORIGIN}\n812\n{ROOT_LINE}\nextension",
        f"{ORIGIN}\n0812\n{ROOT_LINE}\n",
        f"{ORIGIN}\n+812\n{ROOT_LINE}\n",
        f"{ORIGIN}\n-1\n{ROOT_LINE}\n",
        f"{ORIGIN}\n８１２\n{ROOT_LINE}\n",
        f"{ORIGIN}\n8_1\n{ROOT_LINE}\n",
        f"{ORIGIN}\n812 \n{ROOT_LINE}\n",
        f"{ORIGIN}\n{2**53}\n{ROOT_LINE}\n",
        f"{ORIGIN}\n{'9' * 5000}\n{ROOT_LINE}\n",
        f"{ORIGIN}\n0\n{ROOT_LINE}\n",
        f"{ORIGIN}\n812\n{ROOT_LINE[:-1]}\n",
        f"{ORIGIN}\n812\n{ROOT_LINE.rstrip('=')}==\n",
        f"{ORIGIN}\n812\n{b64encode(b'short').decode()}\n",
        f"{ORIGIN}\r\n812\n{ROOT_LINE}\n",
        f"two words\n812\n{ROOT_LINE}\n",
        f"a+b\n812\n{ROOT_LINE}\n",
        f"\n812\n{ROOT_LINE}\n",
        f"\ud800\n812\n{ROOT_LINE}\n",
    ],
)
def test_malformed_checkpoint_text_is_refused(text: str) -> None:
    """Each spelling that the formatter would not write."""
    with pytest.raises(FormatError) as caught:
        note.parse_checkpoint(text)
    assert type(caught.value) is FormatError


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "\n\n",
        "text\n",
        "text\n\n",
        "text\n\n\n",
        "x— a YWJjZGU=\n",
        "text\n— a YWJjZGU=\n",
        SIGNED[:-1],
        SIGNED + "\n",
        SIGNED.replace("—", "-"),
        SIGNED.replace("— ", "—  "),
        SIGNED.replace("=\n", "\n"),
        SIGNED.replace("\n", "\r\n"),
        SIGNED + "— name\n",
        SIGNED + "— a b Y2Rl\n",
        SIGNED + "— a+b YWJjZGU=\n",
        SIGNED + "— a\u3000b YWJjZGU=\n",
        SIGNED + "— a YWJjZA==\n",
        SIGNED + "— a YWJjZGV=\n",
        "\ud800" + SIGNED,
        "\t" + SIGNED,
    ],
)
def test_malformed_notes_are_refused(text: str) -> None:
    """Each spelling that the formatter would not write, before any signature is looked at."""
    with pytest.raises(FormatError) as caught:
        note.parse_note(text)
    assert type(caught.value) is FormatError


def test_invalid_values_are_not_written() -> None:
    """The formatters refuse what their parsers would refuse."""
    good = NoteSignature("a", b"abcd", b"e")
    for value in (
        Note("no newline", (good,)),
        Note("unsigned\n", ()),
        Note("text\n", (NoteSignature("a b", b"abcd", b"e"),)),
        Note("text\n", (NoteSignature("a", b"abc", b"e"),)),
        Note("text\n", (NoteSignature("a", b"abcd", b""),)),
        Note("te\0xt\n", (good,)),
    ):
        with pytest.raises(FormatError):
            note.format_note(value)
    for checkpoint in (
        Checkpoint("", 1, CHECKPOINT.root),
        Checkpoint("a\nb", 1, CHECKPOINT.root),
        Checkpoint("a\0b", 1, CHECKPOINT.root),
        Checkpoint("a", -1, CHECKPOINT.root),
        Checkpoint("a", 2**53, CHECKPOINT.root),
        Checkpoint("a", 1, b"short"),
        Checkpoint("a", 0, CHECKPOINT.root),
    ):
        with pytest.raises(FormatError):
            note.format_checkpoint(checkpoint)
    for name, public in (("a", b"short"), ("", LOG.public), ("a b", LOG.public), ("a+b", LOG.public)):
        with pytest.raises(FormatError):
            note.format_vkey(name, public)
    assert note.format_checkpoint(Checkpoint("a", 0, EMPTY_ROOT)).startswith("a\n0\n47DEQpj8")


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+00000000",
        VKEY.replace("log", "lag"),
        VKEY.replace("+", " ", 1),
        note.format_vkey("two-words", LOG.public).replace("-", " "),
        VKEY + "A",
        VKEY + "\n",
        VKEY[:-4],
        "+" + VKEY.split("+", 1)[1],
        f"{ORIGIN}+{note.key_id(ORIGIN, LOG.public).hex().upper()}+{b64encode(note.ED25519 + LOG.public).decode()}",
        f"{ORIGIN}+{note.key_id(ORIGIN, LOG.public).hex()}+{b64encode(bytes([4]) + LOG.public).decode()}",
        f"{ORIGIN}+{note.key_id(ORIGIN, LOG.public).hex()}+{b64encode(note.ED25519 + OTHER.public).decode()}",
    ],
)
def test_malformed_vkeys_are_refused(vkey: str) -> None:
    """A wrong form, another type, or a key id that is not the key's."""
    with pytest.raises(FormatError) as caught:
        note.parse_vkey(vkey)
    assert type(caught.value) is FormatError


def test_base64_of_a_vkey_may_contain_a_plus_sign() -> None:
    """Only the first two plus signs separate."""
    public = next(
        p for i in range(999) if "+" in b64encode(note.ED25519 + (p := bytes([i % 256, i // 256] * 16))).decode()
    )
    vkey = note.format_vkey("name", public)
    assert vkey.count("+") > 2
    assert note.parse_vkey(vkey) == note.VerifierKey("name", note.key_id("name", public), public)


def test_limits() -> None:
    """Longer input is refused by its size alone, counted in bytes; the longest is accepted."""
    note.check_text("字" * 5, "text", 15)
    with pytest.raises(LimitError):
        note.check_text("字" * 5, "text", 14)
    refused(LimitError, "x" * (note.MAX_NOTE_BYTES + 1))
    refused(LimitError, SIGNED, "x" * (note.MAX_VKEY_BYTES + 1))
    with pytest.raises(LimitError):
        note.sign_note("x" * note.MAX_NOTE_BYTES + "\n", "name", LOG)
    with pytest.raises(LimitError):
        note.format_checkpoint(Checkpoint("x" * (note.MAX_NOTE_BYTES + 1), 1, CHECKPOINT.root))
