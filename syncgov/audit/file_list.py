"""What the folder holds is what the log signed: nothing changed, missing or added. Source: protocol page, section 9."""

import hashlib
from pathlib import Path

from syncgov.audit.folder import CHECKPOINT_FILE, Log, names_below, read_file, read_text
from syncgov.audit.report import Progress, Report
from syncgov.core.file_list import LIST_PATH, MAX_LIST_BYTES, NOTE_PATH, UNLISTED, parse_list, verify_list_note
from syncgov.core.note import MAX_NOTE_BYTES
from syncgov.errors import FormatError, SyncgovError

TELL_EVERY = 256  # files between two reports of progress


def check_files(out: Path, log: Log, report: Report, progress: Progress) -> None:
    """Compare the note with charter and checkpoint, the list with the note, and every file with the list.

    Findings: files (note or list), file (one file).
    """
    listed = _load_list(out, log, report)
    if listed is None:
        return
    there = names_below(out, ".") - UNLISTED
    for name in sorted(there - listed.keys()):
        report.add("file", f"多出文件 {name}", f"{name} is not in {LIST_PATH}", path=name)
    for done, (name, digest) in enumerate(listed.items(), 1):
        if name not in there:
            report.add("file", f"缺少文件 {name}", f"{name} is missing", path=name)
        elif _digest(out / name) != digest:
            report.add("file", f"文件 {name} 与校验和不符", f"{name} has another checksum", path=name)
        else:
            report.counts["files"] += 1
        if done % TELL_EVERY == 0 or done == len(listed):
            progress("files", done, len(listed))


def _load_list(out: Path, log: Log, report: Report) -> dict[str, str] | None:
    """Return path -> SHA-256, None if what is signed is not this list at this checkpoint."""
    name = NOTE_PATH
    try:
        checkpoint, digest = verify_list_note(read_text(out, NOTE_PATH, MAX_NOTE_BYTES), log.charter.log)
        if checkpoint != log.checkpoint:
            raise FormatError(NOTE_PATH, f"it is about another checkpoint than {CHECKPOINT_FILE}")
        name = LIST_PATH
        data = read_file(out, LIST_PATH, MAX_LIST_BYTES)
        if hashlib.sha256(data).hexdigest() != digest:
            raise FormatError(LIST_PATH, f"not the list that {NOTE_PATH} signs")
        return parse_list(data)
    except SyncgovError as error:
        report.add("files", f"{name} 不成立，各文件没有对照：{error.zh}", f"{name}: {error.en}", path=name)
        return None


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
