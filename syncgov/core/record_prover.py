"""Makes the proof files of one published log; `publish` writes them, `audit` makes them again and compares bytes."""

from collections.abc import Callable, Sequence

from syncgov.core.canonical import unb64u
from syncgov.core.commitment import Body
from syncgov.core.fold import hiding_rows
from syncgov.core.merge import FieldState
from syncgov.core.merge import shown as shown_value
from syncgov.core.note import parse_checkpoint, parse_note
from syncgov.core.proof import format_receipt
from syncgov.core.public_log import PublicState
from syncgov.core.record_proof import build_record_proof, registrars_of
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
