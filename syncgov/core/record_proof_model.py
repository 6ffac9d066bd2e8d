"""A proof file as a message, and what it proves, in values and words. Source: protocol page, section 9 (proof file)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from syncgov.core.canonical import encode_unchecked, unb64u
from syncgov.core.charter import Charter, open_charter
from syncgov.core.commitment import Value
from syncgov.core.fold import RowKey
from syncgov.core.keys import device_id
from syncgov.core.note import Checkpoint
from syncgov.core.statement import Leaf

MAX_PROOF_BYTES = 32 << 20  # a record with 100 child rows written by 50 devices takes about 1 MiB

Sentence: TypeAlias = tuple[str, str]  # in Chinese and in English

NOT_PROVEN: tuple[Sentence, ...] = (
    ("不能证明此后没有更新的修改", "that no newer change exists"),
    ("不能证明内容属实", "that what is written is true"),
    ("不能证明持有终端的人诚实", "that whoever held the device was honest"),
)
OWN_CHARTER_MISSING: Sentence = (
    "没有另外提供章程：只证明文件前后一致，不能证明它出自哪个中心",
    "whose log this is: no charter of one's own was given, so only inner consistency is proven",
)
HIDDEN_MISSING: Sentence = (
    "已删除或不予公开的字段原来写的是什么；是哪一个字段，由中心声明",
    "what the erased or withheld fields said; which field it was is the centre's word",
)
BEFORE_MISSING: Sentence = (
    "有冲突待裁决：裁决之前显示哪个值，要看完整日志",
    "which value shows while a conflict waits for a decision: that takes the whole log",
)


class ProofEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A leaf with its receipt, and its body as far as it is disclosed."""

    body: msgspec.Raw
    leaf: msgspec.Raw
    receipt: str


class ProofFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The message of a proof file."""

    charter: msgspec.Raw
    charters: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET  # those before it, the first one first
    entries: list[ProofEntry]
    key: str
    keys: dict[str, str]
    rows: list[tuple[str, str]]
    table: str
    v: Literal[1]


@dataclass(frozen=True, slots=True)
class ProvenWrite:
    """One value, who wrote it and when. Times are ms UTC: `at` effective, `received` by the centre's clock."""

    value: Value
    dev: str
    seq: int
    index: int
    at: int
    received: int


@dataclass(frozen=True, slots=True)
class ProvenField:
    """A public field with all its current values; `value` is what shows, unless it cannot be `known` from these."""

    table: str
    key: str
    field: str
    value: Value
    known: bool
    writes: tuple[ProvenWrite, ...]

    @property
    def conflict(self) -> bool:
        """Whether the values differ."""
        return len({encode_unchecked(each.value) for each in self.writes}) > 1


@dataclass(frozen=True, slots=True)
class HiddenField:
    """A public field that does not show: the log says that it is erased, or else withheld, and for what reason."""

    table: str
    key: str
    field: str
    erased: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Author:
    """A device that wrote: a registrar of the charter, or one with a certificate, whose fields are given."""

    dev: str
    registrar: bool
    certificate: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class RecordProof:
    """What a proof file proves, and what it does not."""

    table: str
    key: str
    rows: tuple[RowKey, ...]
    charter: Charter
    checkpoint: Checkpoint
    fields: tuple[ProvenField, ...]
    authors: tuple[Author, ...]
    proven: tuple[Sentence, ...]
    not_proven: tuple[Sentence, ...]
    hidden: tuple[HiddenField, ...] = ()


def signers_of(leaf: Leaf) -> set[str]:
    """Return the ids of the device and, where one signed, of the staff key."""
    changeset = leaf.changeset
    return {changeset.statement.dev} | ({changeset.second} if changeset.second is not None else set())


def registrars_of(charters: Iterable[bytes]) -> dict[str, bytes]:
    """Return device id -> key of every registrar that one of *charters* names."""
    publics = [unb64u(text, 32) for raw in charters for text in open_charter(raw).registrars]
    return {device_id(public): public for public in publics}
