"""Write the vectors beside this file; with `--check` only compare them with what would be written.

Every key comes from a fixed text and every time is a constant, so the files are the same wherever this runs.
`fold.json` is written by hand and not touched.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))  # run as a script, from any folder

from tests.vectors import carried, changesets, logs, messages, proofs  # noqa: E402
from tests.vectors.base import Json  # noqa: E402

FORMATS: dict[str, Callable[[], list[Json]]] = {
    each.__name__: each
    for each in (
        changesets.canonical, changesets.statement, changesets.envelope, changesets.body_full, changesets.body_redacted,
        changesets.leaf, logs.checkpoint, logs.receipt, logs.consistency, logs.bundle, logs.tile, logs.file_list,
        logs.charter, logs.succession, logs.register_set, messages.request, messages.join, messages.staff_key,
        messages.push, messages.pull, proofs.proof_file, carried.bundle_header, carried.disclosed, carried.erasure,
    )
}  # fmt: skip


def text_of(name: str) -> str:
    """Return what stands in the file of format *name*."""
    vectors = FORMATS[name]()
    assert len({each["name"] for each in vectors}) == len(vectors), name
    return json.dumps({"format": name, "vectors": vectors}, ensure_ascii=False, indent=1) + "\n"


def main() -> int:
    """Write the files, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file differs")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files are (default: here)")
    options = parser.parse_args()
    wrong = []
    for name in FORMATS:
        path, text = options.folder / f"{name}.json", text_of(name)
        if not options.check:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            wrong.append(path.name)
    if wrong:
        print(f"differs: {', '.join(wrong)}; run `make vectors` and look at the difference", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
