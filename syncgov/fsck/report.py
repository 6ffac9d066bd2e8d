"""What a check of a file found, and what may be put right."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from syncgov.fsck.words import KEEP, REMEDIES, REPAIR, SUSPECT, WHAT

MAX_FINDINGS = 1000  # a file that is wrong everywhere needs no longer list

Kind: TypeAlias = Literal["centre", "replica"]
Fix: TypeAlias = Callable[[sqlite3.Connection], None]
"""Puts one thing right, inside the write transaction in which it was found."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be.

    Attributes:
        code: what kind of thing, stable for programs.
        where: the table and key, the file, or the number of the leaf.
        zh, en: what is wrong and what to do.
        fix: what `--repair` does about it; None where something could be lost.
    """

    code: str
    where: str
    zh: str
    en: str
    fix: Fix | None = field(default=None, repr=False, compare=False)

    @property
    def repairable(self) -> bool:
        """Whether `--repair` puts it right."""
        return self.fix is not None


@dataclass(slots=True)
class Report:
    """What was checked, and what was found.

    Attributes:
        counts: what was checked, by name. notes: sentences (zh, en) about what is no damage, or was not checked.
        repaired: what an earlier pass of the same run found and put right. unnamed: findings beyond MAX_FINDINGS.
    """

    kind: Kind
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[tuple[str, str]] = field(default_factory=list)
    repaired: list[Finding] = field(default_factory=list)
    unnamed: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def add(self, code: str, where: str, detail: str = "", *, fix: Fix | None = None) -> None:
        """Note one wrong thing; *detail* is the same in both languages."""
        if len(self.findings) >= MAX_FINDINGS:
            self.unnamed += 1
            return
        where, detail = _printable(where), _printable(detail)
        remedy = REPAIR if fix is not None else REMEDIES.get(code, KEEP[self.kind])
        zh, en = (f"{where}：{WHAT[code][0]}", f"{where}: {WHAT[code][1]}")
        if detail:
            zh, en = f"{zh}（{detail}）", f"{en} ({detail})"
        self.findings.append(Finding(code, where, f"{zh}。{remedy[0]}", f"{en}. {remedy[1]}", fix))

    def note(self, zh: str, en: str) -> None:
        """Say something that is no damage."""
        self.notes.append((zh, en))

    @property
    def suspect(self) -> bool:
        """Whether what is signed is damaged: then nothing that is derived from it may be rewritten."""
        return any(finding.code in SUSPECT for finding in self.findings)


def _printable(text: str) -> str:
    """Other programs may have written keys that are no UTF-8."""
    return text.encode(errors="backslashreplace").decode()
