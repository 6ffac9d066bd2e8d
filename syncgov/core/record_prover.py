"""Makes the proof files of one published log; `publish` writes them, `audit` makes them again and compares bytes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

import msgspec

from syncgov.core.canonical import b64u, encode_unchecked, unb64u
from syncgov.core.commitment import Body, Write, redact
from syncgov.core.fold import RowKey, hiding_rows
from syncgov.core.merge import FieldState
from syncgov.core.merge import shown as shown_value
from syncgov.core.note import parse_checkpoint, parse_note
from syncgov.core.proof import format_receipt
from syncgov.core.public_log import PublicState
from syncgov.core.record_proof_model import ProofEntry, ProofFile, registrars_of, signers_of
from syncgov.core.record_writes import CERTIFICATE_TABLE, children_of, choose_writes
from syncgov.core.register import RegisterSet
from syncgov.core.staff_keys import STAFF_KEYS
from syncgov.core.statement import parse_leaf
from syncgov.core.tree import GetHash, inclusion_path
from syncgov.errors import AuditError


class Prover:
    """Proves records of one log under one checkpoint.

    Args:
        charter: the signed envelope in force. checkpoint: the signed note.
        entry: log index -> leaf bytes, and the body disclosed at least as in the published folder.
        get_hash: of the tree (see `core.tree`).
        state: the public fold, as `core.public_log.fold_public` gives it.
        registers: the set active at the checkpoint's size.
        earlier: the charters that the one in force has replaced, the first one first.
    """

    def __init__(
        self,
        charter: bytes,
        checkpoint: str,
        entry: Callable[[int], tuple[bytes, Body]],
        get_hash: GetHash,
        state: PublicState,
        registers: RegisterSet,
        *,
        earlier: Sequence[bytes] = (),
    ) -> None:
        self._charter, self._earlier = charter, earlier
        self._registrars = registrars_of([*earlier, charter])
        self._checkpoint = checkpoint
        self._size = parse_checkpoint(parse_note(checkpoint).text).size
        self._entry = entry
        self._get_hash = get_hash
        self._state = state
        self._children = children_of(registers, state)
        self._receipts: dict[int, str] = {}
        self._hiding = hiding_rows(state)

    def prove(self, table: str, key: str) -> bytes:
        """Return the proof file of a row and its child rows.

        Raises:
            AuditError: nothing public of such a row, or the certificate of an author is not public.
        """
        row = (table, key)
        rows = [row, *self._children.get(row, [])]
        wanted = choose_writes(self._state, rows, self._registrars, self._second, self._hiding)
        if row not in self._state or not wanted:
            raise AuditError(f"日志里没有 {table} {key} 的公开内容", f"the log holds nothing public of {table} {key}")
        parts = (self._entry, self._receipt, self._key)
        return build_record_proof(self._charter, rows, wanted, *parts, earlier=self._earlier)

    def _key(self, dev: str) -> bytes:
        if dev in self._registrars:
            return self._registrars[dev]
        row = self._state.get((CERTIFICATE_TABLE, dev)) or self._state.get((STAFF_KEYS, dev))
        field = row.fields.get("public_key") if row is not None else None
        text = shown_value(field or FieldState(), None, None)
        if not isinstance(text, str):
            raise AuditError(f"终端 {dev} 的证书没有公开", f"the certificate of device {dev} is not public")
        return unb64u(text, 32)

    def _second(self, index: int) -> str | None:
        return parse_leaf(self._entry(index)[0]).changeset.second

    def _receipt(self, index: int) -> str:
        if index not in self._receipts:
            path = inclusion_path(index, self._size, self._get_hash)
            self._receipts[index] = format_receipt(index, path, self._checkpoint)
        return self._receipts[index]


def build_record_proof(
    charter_raw: bytes,
    rows: Sequence[RowKey],
    wanted: Mapping[int, Collection[str]],
    entry: Callable[[int], tuple[bytes, Body]],
    receipt: Callable[[int], str],
    key_of: Callable[[str], bytes],
    *,
    earlier: Sequence[bytes] = (),
) -> bytes:
    """Return the proof file of *rows*, the record's own row first.

    Args:
        wanted: as `choose_writes` returns it.
        entry: log index -> leaf bytes and its body, disclosed at least where *wanted*.
        receipt: log index -> receipt, all under one checkpoint.
        key_of: id of a device or staff key -> public key.
        earlier: the charters that the one in force has replaced, the first one first.
    """
    entries = []
    keys: dict[str, bytes] = {}
    for index in sorted(wanted):
        leaf, body = entry(index)
        keys |= {signer: key_of(signer) for signer in signers_of(parse_leaf(leaf))}
        entries.append((leaf, redact(body, partial(_is_wanted, wanted[index])), receipt(index)))
    return make_record_proof(charter_raw, rows[0][0], rows[0][1], entries, keys, rows=rows, earlier=earlier)


def _is_wanted(paths: Collection[str], _position: int, write: Write) -> bool:
    return write.path in paths


def make_record_proof(
    charter_raw: bytes,
    table: str,
    key: str,
    entries: Sequence[tuple[bytes, bytes, str]],
    keys: Mapping[str, bytes],
    *,
    rows: Sequence[RowKey] = (),
    earlier: Sequence[bytes] = (),
) -> bytes:
    """Return the proof file from its parts.

    Args:
        entries: (leaf, redacted body, receipt) in log order; bodies disclose heads only, see `build_record_proof`.
        keys: id -> public key; those of devices and staff keys that signed are taken.
        rows: the record's rows, its own first; only its own if not given.
        earlier: the charters that the one in force has replaced, the first one first.
    """
    signers = set().union(*(signers_of(parse_leaf(leaf)) for leaf, _body, _receipt in entries))
    return encode_unchecked(
        ProofFile(
            charter=msgspec.Raw(charter_raw),
            charters=[msgspec.Raw(raw) for raw in earlier] or msgspec.UNSET,
            entries=[ProofEntry(msgspec.Raw(body), msgspec.Raw(leaf), receipt) for leaf, body, receipt in entries],
            key=key,
            keys={signer: b64u(keys[signer]) for signer in signers},
            rows=list(rows) or [(table, key)],
            table=table,
            v=1,
        )
    )
