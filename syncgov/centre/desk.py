"""The review desk of a centre: who approves texts for the public, and the key that writes them anew.

Approvals are withholdings that the registrar deletes. A text is written by a device of its own with the role
`publisher`, whose key is `CENTRE/keys/publisher.key`; it is enrolled when it first writes, and judged like any other.
Source: protocol page, sections 8 and 9.
"""

import secrets
from collections.abc import Mapping, Sequence

from syncgov.centre.centre import Centre
from syncgov.centre.enrolment import CERTIFICATE_DAYS
from syncgov.centre.intake import authenticate
from syncgov.core.canonical import b64u
from syncgov.core.clock import Stamp
from syncgov.core.commitment import Value
from syncgov.core.keys import SigningKey
from syncgov.core.register_model import Register
from syncgov.core.statement import ACCEPTED, Seen
from syncgov.core.trust_view import DAY_MS
from syncgov.errors import InputError, NotAllowedError
from syncgov.storage import capture
from syncgov.storage.keyfile import load_key, store_key
from syncgov.storage.ledger import Ledger
from syncgov.storage.state import RowKey, StoredRow, load_row

PUBLISHER = "publisher"  # the role that words texts for the public
RENEW_DAYS = 30  # a certificate that ends sooner is renewed before it is used
KEY_FILE = "publisher.key"


class Desk:
    """A person at the desk of an open centre. `by` is that person's staff id."""

    def __init__(self, centre: Centre, by: str) -> None:
        self._centre = centre
        self._by = by

    def reader(self) -> Ledger:
        """Return this thread's ledger for reading."""
        return self._centre.reader()

    def write(self, table: str, rows: Sequence[tuple[str, Mapping[str, Value] | None]]) -> list[int]:
        """Write rows of a system register as the registrar; returns the indexes of the new leaves."""
        return self._centre.write(table, rows, by=self._by)

    def write_text(self, row: RowKey, name: str, text: str) -> int:
        """Write a text anew, over everything that the field holds; returns the index of the new leaf.

        Raises:
            InputError: no such row, a text that the register does not allow or that stands there already.
            NotAllowedError: the register does not let a publisher write the field; the desk's device is revoked.
        """
        centre = self._centre
        with centre.lock:
            ledger = centre.ledger
            registers = ledger.registers(ledger.size)
            register, stored = registers[row[0]], load_row(ledger.conn, row)
            _require_writable(register, row, name, stored)
            change = capture.diff_row(register, row, {name: text}, stored)
            if change is None:
                raise InputError(
                    "文字没有改变；要照原样公开请用 --approve", "the text is the same; use --approve to publish it"
                )
            key = _enrolled(centre)
            writes = capture.field_writes(register, change, stored)
            return self._send(
                capture.sign_writes(writes, self._author(key), registers, secrets.token_bytes(32)), register
            )

    def _author(self, key: SigningKey) -> capture.Author:
        ledger = self._centre.ledger
        chain = ledger.chain(key.id)
        seq, prev = (0, ledger.enrolment(key.id) or "") if chain is None else (chain.seq, chain.hash)
        seen = Seen(b64u(ledger.root(ledger.size)), ledger.size)
        return capture.Author(key, seq + 1, prev, seen, Stamp(self._centre.clock(), 0), self._by)

    def _send(self, signed: capture.Signed, register: Register) -> int:
        (outcome,) = self._centre.push([authenticate(self._centre.ledger, signed.envelope, signed.raw_body)])
        if outcome.verdict != ACCEPTED or outcome.index is None:
            raise NotAllowedError(
                f"{register.label}的文字未被接受：{outcome.verdict}",
                f"{register.name}: not accepted: {outcome.verdict}",
            )
        return outcome.index


def _require_writable(register: Register, row: RowKey, name: str, stored: StoredRow) -> None:
    if not stored.alive:
        raise InputError(f"{register.label}里没有 {row[1]}", f"{register.name} has no row {row[1]}")
    declared = register.field(name)
    if PUBLISHER not in declared.write:
        raise NotAllowedError(
            f"登记册没有让公开审核员写{register.label}的“{declared.label}”：请由能写的终端改写，"
            f"或在登记册里给它加上 write: [{PUBLISHER}]",
            f"the register does not let a publisher write {register.name}.{name}: have a device that may rewrite it, "
            f"or add {PUBLISHER} to its `write`",
        )


def _enrolled(centre: Centre) -> SigningKey:
    """Return the desk's key, made and enrolled by the registrar if that was not done yet."""
    path = centre.path / "keys" / KEY_FILE
    key = load_key(path).key if path.exists() else store_key(path, SigningKey(secrets.token_bytes(32)), 0, "").key
    certificate = centre.ledger.certificate(key.id, centre.ledger.size)
    now = centre.clock()
    if certificate is None:
        columns: dict[str, Value] = {
            "public_key": b64u(key.public),
            "roles": [PUBLISHER],
            "areas": [centre.charter.area],
        }
        centre.write("device", [(key.id, columns | {"valid_from": now, "valid_to": now + CERTIFICATE_DAYS * DAY_MS})])
    elif certificate.revoked:
        raise NotAllowedError(
            f"审核台的终端 {key.id[:8]} 已停用；请把 {path} 移走保存，再运行一次会登记新的",
            f"the desk's device {key.id} is revoked; move {path} away, the next run enrols another",
        )
    elif certificate.valid_to - now < RENEW_DAYS * DAY_MS:
        centre.write("device", [(key.id, {"valid_to": now + CERTIFICATE_DAYS * DAY_MS})])
    return key
