"""Text for the search index: Chinese as overlapping pairs of characters, so that every word of it can be found.

The index is made here, the query in `datasette_plugin`, which must run without this package; a test keeps them one.
"""

import re
import unicodedata

# Han with its extensions, kana and hangul: scripts written without spaces between words
_RUN = re.compile(
    "[\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+"
)


def index_text(text: str) -> str:
    """Return *text* with every run of Chinese as its pairs and its last character: 光伏组件 is 光伏 伏组 组件 件."""
    return _RUN.sub(lambda match: f" {_pairs(match.group())} ", unicodedata.normalize("NFKC", text))


def _pairs(run: str) -> str:
    return " ".join(run[i : i + 2] for i in range(len(run)))
