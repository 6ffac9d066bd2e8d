"""What an audit found."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_FINDINGS = 1000  # a log that is wrong everywhere needs no longer list

Progress = Callable[[str, int, int], None]
"""`progress(stage, done, total)`; stages: files signatures verdicts fold public_db portal proofs data."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One bad thing, named.

    Attributes:
        code: what kind of thing, stable for programs.
        zh, en: a sentence.
        index: of the log leaf. table, key: of the row. path: of the file in the folder, or of the write.
    """

    code: str
    zh: str
    en: str
    index: int | None = None
    table: str | None = None
    key: str | None = None
    path: str | None = None


@dataclass(slots=True)
class Report:
    """What was checked, and what was found.

    Attributes:
        counts: what was checked, by name: entries, signatures, chains, writes, withheld, cells …
        hidden: public writes that are not there: (`erased` or `withheld`, reason, path).
        declared: what only the centre can know, by kind -> number of changesets: 由中心声明.
        skipped: sentences (zh, en) that say what was not checked: after a finding, and what no audit checks.
        notes: sentences (zh, en) on what everybody should know and nobody did wrong: charters replaced, logs closed.
        unnamed: findings beyond MAX_FINDINGS.
    """

    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    hidden: list[tuple[str, str, str]] = field(default_factory=list)
    declared: Counter[str] = field(default_factory=Counter)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    unnamed: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing bad was found."""
        return not self.findings

    def add(
        self,
        code: str,
        zh: str,
        en: str,
        *,
        index: int | None = None,
        table: str | None = None,
        key: str | None = None,
        path: str | None = None,
    ) -> None:
        """Note one bad thing."""
        if len(self.findings) >= MAX_FINDINGS:
            self.unnamed += 1
            return
        self.findings.append(Finding(code, zh, en, index, table, key, path))

    def skip(self, zh: str, en: str) -> None:
        """Note a check that could not be made."""
        self.skipped.append((zh, en))

    def tell(self, zh: str, en: str) -> None:
        """Note something that everybody should know."""
        self.notes.append((zh, en))

    def has(self, *codes: str) -> bool:
        """Whether something of these kinds was found."""
        return any(finding.code in codes for finding in self.findings)


def quiet(_stage: str, _done: int, _total: int) -> None:
    """Report no progress."""
