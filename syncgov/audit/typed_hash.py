"""A hash that was printed on paper, typed in again and looked for in the history of a published log.

Source: protocol page, section 9.
"""

from dataclasses import dataclass
from pathlib import Path

from syncgov.audit.folder import load_log, load_trusted_charter, require_folder
from syncgov.audit.report import Report
from syncgov.errors import AuditError, InputError

HEX_DIGITS = 64  # all of SHA-256: of a shorter one the operator could make two logs
_IGNORED = " \t\r\n-–—:：\u3000"  # what people put between groups
_WIDE = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}  # full-width letters of Chinese keyboards


@dataclass(frozen=True, slots=True)
class FoundHash:
    """What a typed hash belongs to.

    Attributes:
        name: of the log's operator. size: how many entries the log had when its root was this.
        now: how many it has today.
    """

    name: str
    origin: str
    size: int
    now: int


def parse_typed(typed: str) -> bytes:
    """Return the 32 bytes of a typed hash: upper or lower case, in groups or not, full-width or not.

    Raises:
        InputError: not 64 hexadecimal digits; says how many there are, or which sign is none.
    """
    plain = typed.translate(_WIDE).lower()
    digits = "".join(sign for sign in plain if sign not in _IGNORED)
    for place, sign in enumerate(digits, 1):
        if sign not in "0123456789abcdef":
            raise InputError(
                f"第 {place} 个字符 {sign!r} 不是 0–9、a–f；请对照公示栏再输入一遍",
                f"sign {place}, {sign!r}, is not 0-9 or a-f; compare with the sheet and type it again",
            )
    if len(digits) != HEX_DIGITS:
        raise InputError(
            f"输入了 {len(digits)} 位，应为 {HEX_DIGITS} 位（16 组，每组 4 位）；请对照公示栏再输入一遍",
            f"{len(digits)} digits, not {HEX_DIGITS} (16 groups of 4); compare with the sheet and type it again",
        )
    return bytes.fromhex(digits)


def find_hash(out: Path, typed: str, charter: Path | None = None) -> FoundHash:
    """Return the moment in the log of folder *out* whose root is the *typed* hash.

    That root commits to every entry before it, so what was on the sheet's day is in today's log, unchanged.

    Raises:
        InputError: no such folder or charter, or no hash.
        AuditError: the log is damaged, is another's, or never had this root.
    """
    root = parse_typed(typed)
    require_folder(out)
    report = Report()
    log = load_log(out, report)
    if log is None or not report.ok:
        first = report.findings[0]
        raise AuditError(
            f"{out} 有问题，请先运行 audit：{first.zh}", f"{out} is damaged, run `syncgov audit`: {first.en}"
        )
    if charter is not None and load_trusted_charter(charter) != log.charter:
        raise AuditError(
            "公开文件夹里的章程不是所给的那一份；不要相信这个文件夹",
            "the folder's charter is not the one given; do not trust this folder",
        )
    for size in range(log.tree.size, 0, -1):
        if log.tree.root(size) == root:
            return FoundHash(log.charter.name, log.charter.origin, size, log.tree.size)
    raise AuditError(
        "日志从来没有过这个校验码：输错了，或者日志被改过。请对照公示栏再输入一遍；"
        "仍然这样，请保留公示栏的照片并向监督机关反映",
        "the log never had this hash: mistyped, or the log was changed. Compare with the sheet and type it again; "
        "if it stays so, keep a photo of the sheet and report it",
    )
