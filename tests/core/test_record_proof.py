"""Proof files in memory: what one must hold, and each way of making a bad one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import msgspec
import pytest

from syncgov.core.canonical import b64u
from syncgov.core.charter import Charter, key_text, open_charter, sign_charter
from syncgov.core.commitment import Body, Value, Write, make_body, meta_path, parse_body, redact
from syncgov.core.keys import SigningKey
from syncgov.core.note import Checkpoint, format_vkey, sign_checkpoint
from syncgov.core.public_log import PublicLeaf, fold_public
from syncgov.core.record_proof import verify_record_proof
from syncgov.core.record_proof_model import BEFORE_MISSING, NOT_PROVEN, OWN_CHARTER_MISSING, RecordProof
from syncgov.core.record_prover import Prover, make_record_proof
from syncgov.core.register import RegisterSet, parse_register
from syncgov.core.statement import EMPTY_ROOT, Leaf, Seen, Statement, format_leaf, parse_leaf, sign_statement
from syncgov.core.tree import MemoryTree, leaf_hash, root_of_inputs
from syncgov.errors import AuditError, FormatError, NotAllowedError, ProofError, SignatureError, SyncgovError

LAMP = """\
register: lamp
version: 1
label: 路灯
help: 测试
key: uuid
skeleton: {}
write: [worker]
read: {public: ['*'], private: [worker]}
fields:
  place: {label: 地点, type: text, class: public}
  watts: {label: 功率, type: integer, class: public, merge: max}
  colour: {label: 颜色, type: text, class: public, merge: review, write: [worker], resolve: [worker]}
  secret: {label: 内情, type: text, class: private}
"""
ORIGIN = "log.example/lamps"
REGISTERS = RegisterSet([parse_register(LAMP, "lamp.yml")])


def key(letter: str) -> SigningKey:
    """Return a key that depends on a letter."""
    return SigningKey(letter.encode() * 32)


@dataclass
class Log:
    """A log that is written by hand: no verdicts, no rules."""

    entries: list[tuple[bytes, Body]] = field(default_factory=list)
    root: SigningKey = field(default_factory=lambda: key("r"))
    log: SigningKey = field(default_factory=lambda: key("l"))
    registrar: SigningKey = field(default_factory=lambda: key("a"))
    seqs: dict[str, int] = field(default_factory=dict)

    @property
    def charter(self) -> bytes:
        """The signed charter."""
        charter = Charter(
            area="1", backup_days=1, grace_days=1, issued=1, log=format_vkey(ORIGIN, self.log.public), name="路灯",
            origin=ORIGIN, quorum="none", registrars=[key_text(self.registrar.public)],
            roots=[key_text(self.root.public)], simulated=True, threshold=1, v=1, witnesses=[],
        )  # fmt: skip
        return sign_charter(charter, [self.root])

    def write(
        self,
        author: SigningKey,
        values: Mapping[str, Value],
        *,
        over: Mapping[str, int] | None = None,
        verdict: str = "accepted",
    ) -> int:
        """Log one changeset: path -> value, over: path -> index of the leaf whose write it replaces."""
        seq = self.seqs[author.id] = self.seqs.get(author.id, 0) + 1
        replaced = {path: (parse_leaf(self.entries[i][0]).changeset.statement.dot,) for path, i in (over or {}).items()}
        public = [Write(path, value, replaced.get(path, ())) for path, value in values.items() if "/secret" not in path]
        other = [Write(path, value, ()) for path, value in values.items() if "/secret" in path]
        other.append(Write(meta_path((author.id, seq), "by"), "甲", ()))
        _raw, body = make_body(public, other, bytes(32))
        now = 1_000 * len(self.entries)
        st = Statement(
            at=now, dev=author.id, n=len(body.writes), prev=EMPTY_ROOT, pub=len(public), reg=b64u(REGISTERS.digest),
            root=b64u(root_of_inputs(body.digests)), seen=Seen(EMPTY_ROOT, 0), seq=seq, tick=0, v=1,
        )  # fmt: skip
        raw = format_leaf(sign_statement(st, author), floor=0, received=now + 500, verdict=verdict)
        self.entries.append((raw, body))
        return len(self.entries) - 1

    def enrol(self, device: SigningKey) -> int:
        """Log a certificate."""
        row = f"device/{device.id}"
        values: dict[str, Value] = {
            f"{row}/_alive": True,
            f"{row}/public_key": b64u(device.public),
            f"{row}/roles": ["worker"],
        }
        return self.write(self.registrar, values)

    def register(self) -> int:
        """Log the register."""
        return self.write(self.registrar, {"register/lamp/_alive": True, "register/lamp/text": LAMP})

    @property
    def tree(self) -> MemoryTree:
        """The tree of the leaves."""
        return MemoryTree(leaf_hash(raw) for raw, _body in self.entries)

    @property
    def checkpoint(self) -> str:
        """The signed checkpoint."""
        return sign_checkpoint(Checkpoint(ORIGIN, len(self.entries), self.tree.root()), self.log)

    def leaf(self, index: int) -> Leaf:
        """Return a leaf."""
        return parse_leaf(self.entries[index][0])

    def prover(self) -> Prover:
        """Return the prover of the log as it is now."""
        leaves = []
        for index, (raw, body) in enumerate(self.entries):
            leaf = parse_leaf(raw)
            pub = leaf.changeset.statement.pub
            leaves.append(PublicLeaf(index, leaf, tuple((p, w) for p, w in body.disclosed() if p < pub)))
        state = fold_public(leaves, lambda _index: REGISTERS)
        return Prover(self.charter, self.checkpoint, lambda i: self.entries[i], self.tree.get, state, REGISTERS)

    def prove(self) -> bytes:
        """Return the proof of lamp 1."""
        return self.prover().prove("lamp", "1")


def lamp(**values: Value) -> dict[str, Value]:
    """Return the paths of a lamp's columns."""
    return {"lamp/1/_alive": True, **{f"lamp/1/{name}": value for name, value in values.items()}}


@pytest.fixture
def log() -> Log:
    """A log with a register and two devices."""
    made = Log()
    made.register()
    made.enrol(key("d"))
    made.enrol(key("e"))
    return made


def verify(log: Log, data: bytes) -> RecordProof:
    """Verify under the true charter."""
    return verify_record_proof(data, open_charter(log.charter))


def values(proof: RecordProof) -> dict[str, Value]:
    """Return what the record itself shows."""
    return {each.field: each.value for each in proof.fields if each.table == "lamp"}


def test_a_proof_shows_values_authors_and_times(log: Log) -> None:
    """The whole story of a record nobody disagrees about."""
    index = log.write(key("d"), lamp(place="桥头", watts=60, secret="坏了三次"))
    proof = verify(log, log.prove())
    assert values(proof) == {"_alive": True, "place": "桥头", "watts": 60}
    assert [author.registrar for author in proof.authors] == [
        author.dev == log.registrar.id for author in proof.authors
    ]
    write = proof.fields[0].writes[0]
    assert (write.dev, write.seq, write.index) == (key("d").id, 1, index)
    assert (write.at, write.received) == (1_000 * index, 1_000 * index + 500)
    assert proof.not_proven == NOT_PROVEN
    assert proof.checkpoint.size == len(log.entries)


def test_nothing_private_and_nothing_replaced_is_in_it(log: Log) -> None:
    """Only heads are disclosed: an old value that stands in the same changeset as a head is not."""
    first = log.write(key("d"), lamp(place="旧地方", watts=60, secret="坏了三次"))
    second = log.write(key("e"), lamp(place="中间"), over={"lamp/1/place": first, "lamp/1/_alive": first})
    log.write(key("d"), lamp(place="新地方"), over={"lamp/1/place": second, "lamp/1/_alive": second})
    data = log.prove().decode()
    assert "新地方" in data
    assert not any(word in data for word in ("旧地方", "中间", "坏了三次", "甲"))
    assert values(verify(log, data.encode())) == {"_alive": True, "place": "新地方", "watts": 60}


def test_without_a_charter_only_inner_consistency_is_proven(log: Log) -> None:
    """The first thing it says."""
    log.write(key("d"), lamp(place="桥头"))
    assert verify_record_proof(log.prove(), None).not_proven[0] == OWN_CHARTER_MISSING


def test_a_conflict_shows_what_the_rule_shows(log: Log) -> None:
    """With the register beside it: `last`, `max`; what `review` shows takes the whole log."""
    log.write(key("d"), lamp(place="桥头", watts=60, colour="白"))
    log.write(key("e"), lamp(place="桥尾", watts=40, colour="黄"))
    proof = verify(log, log.prove())
    assert values(proof) == {"_alive": True, "place": "桥尾", "watts": 60, "colour": None}
    assert {each.field: each.conflict for each in proof.fields} == {
        "_alive": False, "place": True, "watts": True, "colour": True,
    }  # fmt: skip
    assert BEFORE_MISSING in proof.not_proven


def test_a_write_of_the_registrar_needs_no_certificate(log: Log) -> None:
    """Its key is in the charter."""
    log.write(log.registrar, lamp(place="桥头"))
    (author,) = verify(log, log.prove()).authors
    assert author.registrar


def test_another_charter_is_refused(log: Log) -> None:
    """The reader's charter decides."""
    log.write(key("d"), lamp(place="桥头"))
    with pytest.raises(AuditError):
        verify(Log(root=key("x")), log.prove())


def test_unknown_records_cannot_be_proven(log: Log) -> None:
    """Nothing public, no proof; a device whose certificate is not there, neither."""
    with pytest.raises(AuditError):
        log.prove()
    log.write(key("z"), lamp(place="桥头"))
    with pytest.raises(AuditError):
        log.prove()


def parts(log: Log, *indexes: int) -> list[tuple[bytes, bytes, str]]:
    """Return leaves with all their public writes and their receipts."""
    prover, found = log.prover(), []
    for index in indexes:
        raw, body = log.entries[index]
        pub = parse_leaf(raw).changeset.statement.pub
        found.append((raw, redact(body, partial(_is_below, pub)), prover._receipt(index)))
    return found


def _is_below(pub: int, position: int, _write: Write) -> bool:
    return position < pub


def keys(*known: SigningKey) -> dict[str, bytes]:
    """Return id -> key."""
    return {each.id: each.public for each in known}


def test_made_from_parts_it_verifies_too(log: Log) -> None:
    """`make_record_proof` takes what somebody else has chosen."""
    index = log.write(key("d"), lamp(place="桥头"))
    data = make_record_proof(log.charter, "lamp", "1", parts(log, 1, index), keys(log.registrar, key("d")))
    assert values(verify(log, data)) == {"_alive": True, "place": "桥头"}


def test_bad_compositions_are_refused(log: Log) -> None:
    """No certificate; out of order; a refused leaf; another record's writes; an entry of no use."""
    index = log.write(key("d"), lamp(place="桥头"))
    refused = log.write(key("d"), lamp(place="别处"), verdict="refused:role")
    stranger = log.write(key("d"), {"lamp/2/_alive": True, "lamp/2/place": "别处"})
    known = keys(log.registrar, key("d"), key("e"))
    bad = [
        parts(log, index),
        parts(log, index, 1),
        parts(log, 1, index, refused),
        parts(log, 1, index, stranger),
        parts(log, 1, 2, index),
        parts(log, 1),
        [],
    ]
    for entries in bad:
        with pytest.raises(AuditError):
            verify(log, make_record_proof(log.charter, "lamp", "1", entries, known))


def test_a_certificate_that_no_registrar_wrote_is_refused(log: Log) -> None:
    """A device cannot vouch for itself."""
    stranger, row = key("s"), f"device/{key('s').id}"
    own = log.write(stranger, {f"{row}/_alive": True, f"{row}/public_key": b64u(stranger.public)})
    index = log.write(stranger, lamp(place="桥头"))
    with pytest.raises(AuditError, match="registrar"):
        verify(log, make_record_proof(log.charter, "lamp", "1", parts(log, own, index), keys(stranger)))


def test_a_private_write_in_a_proof_is_refused(log: Log) -> None:
    """Even if its author would disclose it."""
    index = log.write(key("d"), lamp(place="桥头", secret="坏了三次"))
    raw, body = log.entries[index]
    shown = redact(body, lambda _position, w: not w.path.startswith("_"))
    entries = [*parts(log, 1), (raw, shown, log.prover()._receipt(index))]
    with pytest.raises(AuditError, match="secret"):
        verify(log, make_record_proof(log.charter, "lamp", "1", entries, keys(log.registrar, key("d"))))


def test_two_checkpoints_are_refused(log: Log) -> None:
    """All receipts speak of one tree."""
    index = log.write(key("d"), lamp(place="桥头"))
    old = parts(log, 1)
    log.write(key("d"), lamp(place="别处"))
    entries = [*old, *parts(log, index)]
    with pytest.raises(AuditError):
        verify(log, make_record_proof(log.charter, "lamp", "1", entries, keys(log.registrar, key("d"))))


def _change(data: bytes, **members: object) -> bytes:
    found = {**msgspec.json.decode(data), **members}
    return msgspec.json.encode(found, order="deterministic")


def test_each_forgery_has_its_error(log: Log) -> None:
    """Charter, receipt, signature, key, body, rows, bytes."""
    index = log.write(key("d"), lamp(place="桥头"))
    data = log.prove()
    proof = msgspec.json.decode(data)
    forged = Log(root=key("x"))
    other = sign_charter(open_charter(log.charter), [forged.root])
    first, second = proof["entries"]
    swapped = [{**first, "receipt": second["receipt"]}, {**second, "receipt": first["receipt"]}]
    liar = sign_statement(log.leaf(index).changeset.statement, key("x"))
    cases: list[tuple[bytes, type[SyncgovError]]] = [
        (_change(data, charter=msgspec.json.decode(other)), NotAllowedError),
        (_change(data, entries=swapped), ProofError),
        (_change(data, keys={**proof["keys"], key("d").id: b64u(key("e").public)}), AuditError),
        (_change(data, keys={log.registrar.id: proof["keys"][log.registrar.id]}), SyncgovError),
        (_change(data, keys={**proof["keys"], key("e").id: b64u(key("e").public)}), AuditError),
        (_change(data, rows=[["lamp", "2"]]), FormatError),
        (_change(data, key="2", rows=[["lamp", "2"]]), AuditError),
        (_change(data, rows=[["lamp", "1"], ["lamp", "1"]]), FormatError),
        (_change(data, v=2), FormatError),
        (_change(data, more=1), FormatError),
        (data + b" ", FormatError),
        (data[:-1], FormatError),
        (data.replace(b"lamp", b"\xff\xff\xff\xff", 1), FormatError),
        (data.replace("桥头".encode(), "桥尾".encode()), SyncgovError),
        (b"", FormatError),
    ]
    for forgery, error in cases:
        with pytest.raises(error):
            verify(log, forgery)
    assert liar != log.leaf(index).changeset.envelope.raw


def test_a_signature_by_another_key_is_refused(log: Log) -> None:
    """The leaf is in the log, but its device did not sign it."""
    index = log.write(key("d"), lamp(place="桥头"))
    leaf, body = log.leaf(index), log.entries[index][1]
    envelope = leaf.changeset.envelope.raw.decode()
    signature = msgspec.json.decode(sign_statement(leaf.changeset.statement, key("x")))["signatures"][0]["sig"]
    honest = msgspec.json.decode(envelope)["signatures"][0]["sig"]
    raw = format_leaf(envelope.replace(honest, signature).encode(), floor=0, received=leaf.received, verdict="accepted")
    log.entries[index] = (raw, body)
    with pytest.raises(SignatureError):
        verify(log, log.prove())


def test_bodies_are_parsed_as_published(log: Log) -> None:
    """A redacted body in a proof is an ordinary redacted body."""
    log.write(key("d"), lamp(place="桥头", secret="坏了三次"))
    proof = msgspec.json.decode(log.prove(), type=dict)
    body = parse_body(msgspec.json.encode(proof["entries"][-1]["body"], order="deterministic"), 2)
    assert [write is None for write in body.writes] == [False, False, True, True]
