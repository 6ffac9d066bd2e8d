"""Vectors of the log and of what says whose log it is. Sections 6 to 8."""

import hashlib
from typing import Any

import msgspec

from syncgov.core.canonical import b64, b64u, encode
from syncgov.core.charter import CHARTER_TYPE, Charter, Closing, key_text, sign_charter
from syncgov.core.keys import SigningKey
from syncgov.core.note import Checkpoint, format_vkey, sign_checkpoint, sign_note
from syncgov.core.proof import format_receipt
from syncgov.core.statement import envelope_hash, format_envelope
from syncgov.core.tree import MemoryTree, consistency_path, format_bundle, format_tile, inclusion_path, leaf_hash
from tests.vectors.base import AT, LOG, ORIGIN, OTHER, REGISTRAR, ROOT_1, ROOT_2, VKEY, Json, filled, vector
from tests.vectors.changesets import signed

LEAVES = [b"leaf %d" % number for number in range(11)]
TREE_HASHES = [leaf_hash(raw) for raw in LEAVES]
TREE = MemoryTree(TREE_HASHES)
CHECKPOINT = Checkpoint(ORIGIN, TREE.size, TREE.root())
SIGNED = sign_checkpoint(CHECKPOINT, LOG)


def checkpoint() -> list[Json]:
    """Section 6: the signed note."""
    witness = sign_note(SIGNED.split("\n\n")[0] + "\n", "witness.example", OTHER).split("\n\n")[1]
    root = b64(TREE.root())
    foreign = sign_note(f"other.example\n11\n{root}\n", ORIGIN, LOG)
    longer = sign_note(f"{ORIGIN}\n11\n{root}\nextension\n", ORIGIN, LOG)
    zero = sign_note(f"{ORIGIN}\n011\n{root}\n", ORIGIN, LOG)
    cases: list[tuple[str, str, str, Any]] = [
        ("plain", "ok", "a log of 11 leaves", SIGNED),
        ("empty", "ok", "the empty log", sign_checkpoint(Checkpoint(ORIGIN, 0, hashlib.sha256().digest()), LOG)),
        ("witnessed", "ok", "a signature of a key that the reader does not know", SIGNED + witness),
        ("size", "signature", "another size than was signed", SIGNED.replace("\n11\n", "\n12\n")),
        ("key", "signature", "signed by another key", sign_checkpoint(CHECKPOINT, OTHER)),
        ("origin", "format", "the origin is not the key's name", foreign),
        ("extension", "format", "an extension line", longer),
        ("zero", "format", "a size with a leading zero", zero),
        ("unsigned", "format", "no signature", SIGNED.split("\n\n")[0] + "\n"),
        ("line-end", "format", "no final line end", SIGNED[:-1]),
        ("long", "limit", "more than 128 KiB", filled("", "a", 131_073, "")),
    ]
    return [vector(name, expect, comment, checkpoint=text, vkey=VKEY) for name, expect, comment, text in cases]


def receipt() -> list[Json]:
    """Section 6: the tlog-proof."""
    path = inclusion_path(4, TREE.size, TREE.get)
    good = format_receipt(4, path, SIGNED)
    cases: list[tuple[str, str, str, str, bytes]] = [
        ("plain", "ok", "leaf 4 of 11", good, LEAVES[4]),
        (
            "last",
            "ok",
            "the last leaf, whose path is short",
            format_receipt(10, inclusion_path(10, 11, TREE.get), SIGNED),
            LEAVES[10],
        ),
        ("leaf", "proof", "another leaf", good, LEAVES[5]),
        ("index", "proof", "another index", good.replace("index 4", "index 5"), LEAVES[4]),
        ("hash", "proof", "a hash of the path changed", format_receipt(4, [path[1], *path[1:]], SIGNED), LEAVES[4]),
        ("short", "proof", "a hash of the path left out", format_receipt(4, path[:-1], SIGNED), LEAVES[4]),
        (
            "checkpoint",
            "signature",
            "the checkpoint has another size than was signed",
            good.replace("\n11\n", "\n12\n"),
            LEAVES[4],
        ),
        ("header", "format", "another format", good.replace("@v1", "@v2"), LEAVES[4]),
        ("extra", "format", "the unauthenticated extra line", good.replace("index", "extra AA==\nindex"), LEAVES[4]),
    ]
    return [vector(n, expect, comment, receipt=text, leaf=raw, vkey=VKEY) for n, expect, comment, text, raw in cases]


def consistency() -> list[Json]:
    """Section 6: RFC 6962 section 2.1.2."""

    def one(name: str, expect: str, comment: str, old: int, new: int, **other: Any) -> Json:
        proof = [b64(h) for h in consistency_path(min(old, new), new, TREE.get)]
        roots = {"old_root": b64(TREE.root(old)), "new_root": b64(TREE.root(new))}
        return vector(name, expect, comment, **{"old": old, "new": new, **roots, "path": proof, **other})

    return [
        one("plain", "ok", "from 6 to 11", 6, 11),
        one("power", "ok", "from 8, whose root is a node of the new tree", 8, 11),
        one("same", "ok", "nothing new", 11, 11),
        one("empty", "ok", "every log extends the empty one", 0, 11),
        one("shrunk", "rollback", "the new log is smaller", 11, 6),
        one("two-roots", "fork", "one size, two roots", 11, 11, old_root=b64(TREE.root(10))),
        one("old-root", "proof", "another past", 6, 11, old_root=b64(TREE.root(5))),
        one("new-root", "proof", "another present", 6, 11, new_root=b64(TREE.root(10))),
        one("path", "proof", "no path", 6, 11, path=[]),
    ]


def bundle() -> list[Json]:
    """Section 6: entry bundles of tlog-tiles, in hex."""
    good = format_bundle([b"", b"one", b"x" * 300])
    cases = [
        ("plain", "ok", "three entries", good),
        ("cut", "format", "the last entry is cut short", good[:-1]),
        ("rest", "format", "one byte too many", good + b"\0"),
        ("empty", "format", "no entry", b""),
        ("257", "format", "257 entries", b"\0\0" * 257),
    ]
    return [vector(name, expect, comment, bundle={"hex": raw.hex()}) for name, expect, comment, raw in cases]


def tile() -> list[Json]:
    """Section 6: a hash tile of tlog-tiles, in hex."""
    good = format_tile(TREE_HASHES)
    cases = [
        ("plain", "ok", "a partial tile of eleven hashes", good),
        ("full", "ok", "256 hashes", format_tile(TREE_HASHES[:1] * 256)),
        ("cut", "format", "one byte too few", good[:-1]),
        ("empty", "format", "no hash", b""),
        ("257", "limit", "257 hashes", good[:32] * 257),
    ]
    return [vector(name, expect, comment, tile={"hex": raw.hex()}) for name, expect, comment, raw in cases]


def file_list() -> list[Json]:
    """Section 9: `SHA256SUMS` and the note that signs it."""
    one, two = (hashlib.sha256(text).hexdigest() for text in (b"one", b"two"))
    good = f"{one}  data/lamp.csv\n{two}  log/checkpoint\n"
    head = f"{ORIGIN}\n11\n{b64(TREE.root())}\n"

    def note(listed: str, label: str = "syncgov-files@v1") -> str:
        return sign_note(f"{label}\n{head}{hashlib.sha256(listed.encode()).hexdigest()}\n", ORIGIN, LOG)

    swapped = "".join(reversed(good.splitlines(keepends=True)))
    itself, twice = f"{one}  SHA256SUMS\n", f"{one}  a\n{two}  a\n"
    upper = good.upper().replace("DATA/LAMP.CSV", "data/lamp.csv").replace("LOG/CHECKPOINT", "log/checkpoint")
    cases = [
        ("plain", "ok", "two files", good, note(good)),
        ("empty", "ok", "no file", "", note("")),
        ("line", "digest", "a line was changed after signing", good.replace("lamp", "tree"), note(good)),
        (
            "key",
            "signature",
            "signed by another key",
            good,
            sign_note(note(good).split("\n\n")[0] + "\n", ORIGIN, OTHER),
        ),
        ("label", "format", "another label", good, note(good, "syncgov-files@v2")),
        ("checkpoint", "format", "a checkpoint in its place", good, SIGNED),
        ("order", "format", "paths descend", swapped, note(swapped)),
        ("twice", "format", "a path twice", twice, note(twice)),
        ("itself", "format", "the list in the list", itself, note(itself)),
        ("upper", "format", "hexadecimal in capitals", upper, note(upper)),
        ("line-end", "format", "no final line end", good[:-1], note(good[:-1])),
    ]
    return [vector(n, expect, comment, list=listed, note=text, vkey=VKEY) for n, expect, comment, listed, text in cases]


CHARTER = Charter(
    area="101",
    backup_days=30,
    grace_days=14,
    issued=AT,
    log=VKEY,
    name="测试街道",
    origin=ORIGIN,
    quorum="none",
    registrars=[key_text(REGISTRAR.public)],
    roots=[key_text(ROOT_1.public), key_text(ROOT_2.public)],
    simulated=True,
    threshold=2,
    v=1,
    witnesses=[],
)


def charter() -> list[Json]:
    """Section 8."""
    payload = encode(msgspec.to_builtins(CHARTER))

    def other(**members: Any) -> bytes:
        return sign_charter(msgspec.structs.replace(CHARTER, **members), [ROOT_1, ROOT_2])

    one = [(ROOT_1.id, ROOT_1.sign_typed(CHARTER_TYPE, payload))]
    wrong = format_envelope(CHARTER_TYPE, payload, [*one, (ROOT_2.id, OTHER.sign_typed(CHARTER_TYPE, payload))])
    root = key_text(ROOT_1.public)
    cases: list[tuple[str, str, str, bytes]] = [
        ("plain", "ok", "two of two roots", sign_charter(CHARTER, [ROOT_1, ROOT_2])),
        (
            "extra",
            "ok",
            "a stranger's signature beside them counts nothing",
            sign_charter(CHARTER, [ROOT_1, ROOT_2, OTHER]),
        ),
        ("one", "not-allowed", "one signature where two are needed", sign_charter(CHARTER, [ROOT_1])),
        ("same", "not-allowed", "one root twice", format_envelope(CHARTER_TYPE, payload, one * 2)),
        ("stranger", "not-allowed", "one root and a stranger", sign_charter(CHARTER, [ROOT_1, OTHER])),
        ("forged", "signature", "a root's signature by another key", wrong),
        ("origin", "format", "the log key has another name", other(origin="other.example")),
        ("threshold", "format", "more signatures wanted than there are roots", other(threshold=3)),
        ("twice", "format", "a root named twice", other(roots=[root, root, key_text(ROOT_2.public)])),
        ("registrars", "format", "no registrar", other(registrars=[])),
        ("days", "format", "negative days of grace", other(grace_days=-1)),
        ("type", "format", "the envelope of a changeset", signed(payload, ROOT_1, ROOT_2)),
    ]
    return [vector(name, expect, comment, charter=raw) for name, expect, comment, raw in cases]


def succession() -> list[Json]:
    """Sections 8 and 15: a charter and the one that replaces it."""
    first = sign_charter(CHARTER, [ROOT_1, ROOT_2])

    def after(before: bytes, *signers: SigningKey, **members: Any) -> bytes:
        made = msgspec.structs.replace(CHARTER, previous=envelope_hash(before), **members)
        return sign_charter(made, list(signers or (ROOT_1, ROOT_2)))

    root, lost = b64u(TREE.root(4)), b64u(TREE.root())
    closed: dict[str, Any] = {"origin": f"{ORIGIN}/2", "log": format_vkey(f"{ORIGIN}/2", LOG.public)}
    closing = Closing(4, root, ORIGIN, lost, TREE.size)
    second = after(first, grace_days=7)
    thief = {"roots": [key_text(OTHER.public)], "threshold": 1}
    cases: list[tuple[str, str, str, bytes, bytes]] = [
        ("registrar", "ok", "another registrar", first, after(first, registrars=[key_text(OTHER.public)])),
        ("days", "ok", "other days of grace", first, second),
        ("closing", "ok", "a log of 11 leaves ends, 4 are kept", first, after(first, closes=closing, **closed)),
        ("few", "not-allowed", "enough roots by its own count only", first, after(first, ROOT_1, threshold=1)),
        ("roots", "not-allowed", "signed by its own new roots only", first, after(first, OTHER, **thief)),
        ("replayed", "format", "the first charter again", second, first),
        ("skipped", "format", "it replaces another one", first, after(second, grace_days=3)),
        ("renamed", "format", "another log without closing the old one", first, after(first, **closed)),
        ("same", "format", "it closes the log that it names", first, after(first, closes=closing)),
        (
            "more",
            "format",
            "more leaves kept than were signed",
            first,
            after(first, closes=Closing(12, root, ORIGIN, lost, TREE.size), **closed),
        ),
    ]
    return [vector(name, expect, comment, held=held, charter=raw) for name, expect, comment, held, raw in cases]


LAMP = """register: lamp
version: 1
label: 路灯
key: uuid
skeleton: {}
write: [worker]
read: {public: ['*']}
fields:
  state: {label: 状态, type: code, class: public, choices: {lit: 亮, dark: 灭}}
"""
TREE_TEXT = LAMP.replace("lamp", "tree").replace("路灯", "树")


def register_set() -> list[Json]:
    """Section 7: the digest."""

    def digest(*pairs: tuple[str, str]) -> str:
        listed = [[name, b64u(hashlib.sha256(text.encode()).digest())] for name, text in pairs]
        return b64u(hashlib.sha256(encode(listed)).digest())

    lamp, tree = ("lamp", LAMP), ("tree", TREE_TEXT)
    both = [LAMP, TREE_TEXT]
    return [
        vector("plain", "ok", "two registers", texts=both, digest=digest(lamp, tree)),
        vector(
            "any-order",
            "ok",
            "names ascend whatever the order of the texts",
            texts=both[::-1],
            digest=digest(lamp, tree),
        ),
        vector("none", "ok", "no register", texts=[], digest=digest()),
        vector("order", "digest", "names in descending order", texts=both, digest=digest(tree, lamp)),
        vector("text", "digest", "a line end more", texts=[LAMP + "\n", TREE_TEXT], digest=digest(lamp, tree)),
    ]
