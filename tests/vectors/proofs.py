"""Vectors of the proof file of one record. Section 9."""

import msgspec

from syncgov.core.canonical import b64u
from syncgov.core.charter import sign_charter
from syncgov.core.commitment import Body, Value, Write, make_body, meta_path, redact
from syncgov.core.keys import SigningKey
from syncgov.core.note import Checkpoint, sign_checkpoint
from syncgov.core.proof import format_receipt
from syncgov.core.record_prover import make_record_proof
from syncgov.core.statement import (
    CHANGESET_TYPE,
    EMPTY_ROOT,
    Seen,
    Statement,
    envelope_hash,
    format_envelope,
    format_leaf,
    format_statement,
)
from syncgov.core.tree import MemoryTree, inclusion_path, leaf_hash, root_of_inputs
from tests.vectors.base import AT, DEVICE, KEY, LOG, ORIGIN, OTHER, REG, REGISTRAR, ROOT_1, ROOT_2, Json, secret, vector
from tests.vectors.logs import CHARTER


def entry(key: SigningKey, public: list[Write], name: str, *second: tuple[str, SigningKey]) -> tuple[bytes, Body]:
    """Return a leaf and its body; *second*: a key that signs too, and the id that it gives."""
    _raw, body = make_body(public, [Write(meta_path((key.id, 1), "by"), "S1", ())], secret(name))
    root, seen = b64u(root_of_inputs(body.digests)), Seen(EMPTY_ROOT, 0)
    prev = b64u(secret(f"before {name}"))
    st = Statement(AT, key.id, len(body.writes), prev, len(public), REG, root, seen, 1, 0, 1)
    payload = format_statement(st)
    signers = [(key.id, key), *second]
    signatures = [(key_id, each.sign_typed(CHANGESET_TYPE, payload)) for key_id, each in signers]
    envelope = format_envelope(CHANGESET_TYPE, payload, signatures)
    return format_leaf(envelope, floor=0, received=AT, verdict="accepted"), body


def certificate() -> list[Write]:
    """Return the public part of the device's certificate."""
    row = f"device/{DEVICE.id}"
    values: dict[str, Value] = {
        "_alive": True,
        "areas": ["101"],
        "public_key": b64u(DEVICE.public),
        "roles": ["worker"],
    }
    return [Write(f"{row}/{name}", value, ()) for name, value in values.items()]


def registration() -> list[Write]:
    """Return the public part of a staff key's row."""
    row = f"staff_key/{OTHER.id}"
    return [Write(f"{row}/_alive", True, ()), Write(f"{row}/public_key", b64u(OTHER.public), ())]


def task() -> list[Write]:
    """Return the public part of a task."""
    return [Write(f"task/{KEY}/_alive", True, ()), Write(f"task/{KEY}/title", "路灯不亮", ())]


def erasure(title: str = "title") -> list[Write]:
    """Return a row that erases a field of the task."""
    row = f"erasure/{DEVICE.id}.1.1"
    values: dict[str, Value] = {"_alive": True, "over": [], "path": f"task/{KEY}/{title}", "reason": "request"}
    return [Write(f"{row}/{name}", value, ()) for name, value in values.items()]


def _is_presence(_position: int, write: Write) -> bool:
    return write.path.endswith("/_alive")


def _is_public(_position: int, write: Write) -> bool:
    return not write.path.startswith("_changeset/")


def proof_file() -> list[Json]:
    """Section 9: the certificate of the author, then what he wrote."""
    logged = [entry(REGISTRAR, certificate(), "certificate"), entry(DEVICE, task(), "task"), entry(OTHER, [], "other")]
    logged += [entry(REGISTRAR, erasure(), "erasure"), entry(DEVICE, erasure(), "no erasure")]
    tree = MemoryTree(leaf_hash(leaf) for leaf, _body in logged)
    signed = sign_checkpoint(Checkpoint(ORIGIN, tree.size, tree.root()), LOG)
    receipts = [format_receipt(i, inclusion_path(i, tree.size, tree.get), signed) for i in range(tree.size)]
    public = [(leaf, redact(body, _is_public)) for leaf, body in logged]
    keys = {key.id: key.public for key in (DEVICE, OTHER, REGISTRAR)}
    charter = sign_charter(CHARTER, [ROOT_1, ROOT_2])
    entries = [(*public[i], receipts[i]) for i in (0, 1)]
    good = make_record_proof(charter, "task", KEY, entries, keys)
    left = (logged[1][0], redact(logged[1][1], _is_presence), receipts[1])
    erased, false = (*public[3], receipts[3]), (*public[4], receipts[4])
    whole = redact(logged[1][1], lambda _position, _write: True)
    wrong = {**keys, DEVICE.id: OTHER.public}
    half = sign_charter(CHARTER, [ROOT_1])
    other = sign_charter(msgspec.structs.replace(CHARTER, name="另一街道"), [ROOT_1, ROOT_2])

    moved = msgspec.structs.replace(CHARTER, previous=envelope_hash(charter), registrars=[b64u(OTHER.public)])
    later, few = sign_charter(moved, [ROOT_1, ROOT_2]), msgspec.structs.replace(moved, threshold=1)
    strange = sign_charter(msgspec.structs.replace(moved, previous=b64u(bytes(32))), [ROOT_1, ROOT_2])

    def after(under: bytes) -> bytes:
        return make_record_proof(under, "task", KEY, entries, keys, earlier=[charter])

    def made(*parts: tuple[bytes, bytes, str], table: str = "task", under: bytes = charter) -> bytes:
        return make_record_proof(under, table, KEY, parts, keys)

    cases: list[tuple[str, str, str, bytes]] = [
        ("plain", "ok", "one record, one author", good),
        ("value", "commitment", "another title than the signed one", good.replace("不亮".encode(), "亮了".encode())),
        ("receipt", "proof", "the receipt of the other entry", made(entries[0], (*public[1], receipts[0]))),
        ("key", "audit", "another key under the author's id", make_record_proof(charter, "task", KEY, entries, wrong)),
        ("checkpoint", "signature", "another size than was signed", good.replace(b"street\\n5\\n", b"street\\n6\\n")),
        ("charter", "audit", "not the charter that the reader holds", made(*entries, under=other)),
        ("unsigned", "not-allowed", "a charter that too few roots have signed", made(*entries, under=half)),
        ("replaced", "ok", "the registrar is named by the charter before", after(later)),
        ("replaced-alone", "audit", "the charter before is left out", made(*entries, under=later)),
        ("replaced-few", "not-allowed", "too few roots of the charter before", after(sign_charter(few, [ROOT_1]))),
        ("replaced-other", "format", "it replaces another charter", after(strange)),
        ("no-certificate", "audit", "nothing says that the author was enrolled", made(entries[1])),
        ("order", "audit", "the entries are not in log order", made(*entries[::-1])),
        ("surplus", "audit", "a write that is not public", made(entries[0], (public[1][0], whole, receipts[1]))),
        ("other-record", "audit", "the entries say nothing of the record", made(*entries, table="contact")),
        ("erased", "ok", "the title is erased; the row that says so stands for it", made(entries[0], left, erased)),
        ("erased-by-device", "audit", "a device that is no registrar says so", made(entries[0], left, false)),
        ("space", "format", "a space at the end", good + b" "),
        ("version", "format", "version 2", good[: good.rindex(b'"v":1')] + b'"v":2}'),
    ]
    cases += _two_signatures(charter)
    return [vector(name, expect, comment, proof=raw, charter=charter) for name, expect, comment, raw in cases]


def _two_signatures(charter: bytes) -> list[tuple[str, str, str, bytes]]:
    """A task that a person signed beside the device."""
    keys = {key.id: key.public for key in (DEVICE, OTHER, REGISTRAR)}

    def made(signer: SigningKey, *places: int, author: SigningKey = REGISTRAR) -> bytes:
        logged = [
            entry(REGISTRAR, certificate(), "certificate"),
            entry(author, registration(), "registration"),
            entry(DEVICE, task(), "task", (OTHER.id, signer)),
        ]
        tree = MemoryTree(leaf_hash(leaf) for leaf, _body in logged)
        signed = sign_checkpoint(Checkpoint(ORIGIN, tree.size, tree.root()), LOG)
        parts = [(i, *logged[i], format_receipt(i, inclusion_path(i, tree.size, tree.get), signed)) for i in places]
        entries = [(leaf, redact(body, _is_public), receipt) for _i, leaf, body, receipt in parts]
        return make_record_proof(charter, "task", KEY, entries, keys)

    good = made(OTHER, 0, 1, 2)
    return [
        ("two", "ok", "a registered staff key signed too", good),
        ("two-unregistered", "audit", "nothing says that the staff key was registered", made(OTHER, 0, 2)),
        ("two-self", "audit", "the device itself registered the staff key", made(OTHER, 0, 1, 2, author=DEVICE)),
        ("two-forged", "signature", "the second signature is another key's", made(ROOT_1, 0, 1, 2)),
        ("two-no-key", "audit", "the staff key is missing", good.replace(f'"{OTHER.id}":"'.encode(), b'"x":"')),
    ]
