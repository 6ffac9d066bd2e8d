"""Words of a text as the search knows them: Chinese by characters and pairs, other scripts by whole words.

The same rule as that of the public database's search, so that both find the same; `static/find-core.js` does it again
in the browser. Full width, case and accents are folded away.
"""

import re
import unicodedata
from collections.abc import Iterator

MAX_TERM = 40  # characters of a word that the index tells apart; the text itself is compared whole

# Han with its extensions, kana and hangul: scripts written without spaces between words
_CHINESE = "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_RUNS = re.compile(f"([{_CHINESE}]+)|([^\\W_{_CHINESE}]+)")
_ACCENTS = re.compile("[\u0300-\u036f]")


def fold(text: str) -> str:
    """Return *text* in one width and case, without accents."""
    plain = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).lower())
    return unicodedata.normalize("NFC", _ACCENTS.sub("", plain))


def runs(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the runs of folded *text* that can be searched for, and whether each is Chinese."""
    for match in _RUNS.finditer(fold(text)):
        yield match.group(), match.group(1) is not None


def terms(text: str) -> set[str]:
    """Return what the index lists *text* under: characters and pairs of Chinese, the beginnings of other words."""
    found: set[str] = set()
    for run, chinese in runs(text):
        if chinese:
            found.update(run)
            found.update(run[i : i + 2] for i in range(len(run) - 1))
        else:
            found.add(run[:MAX_TERM])
    return found
