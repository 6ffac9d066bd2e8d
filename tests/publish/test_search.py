"""The search index and the query of the plugin belong together: exact for Chinese, nothing for nonsense."""

import importlib.util
import sqlite3
from types import ModuleType

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from syncgov.publish.bigrams import index_text
from syncgov.publish.browse import PLUGINS


def load_plugin() -> ModuleType:
    """Return the plugin as Datasette loads it: a file on its own."""
    spec = importlib.util.spec_from_file_location("syncgov_public", PLUGINS / "syncgov_public.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PLUGIN = load_plugin()


def found(texts: list[str], query: str) -> list[int]:
    """Return which of *texts* a search for *query* finds."""
    conn = sqlite3.connect(":memory:")
    try:
        conn.execute("CREATE VIRTUAL TABLE f USING fts5(words, content='', tokenize='unicode61')")
        conn.executemany("INSERT INTO f (rowid, words) VALUES (?, ?)", enumerate(map(index_text, texts)))
        sql = "SELECT rowid FROM f WHERE f MATCH ? ORDER BY rowid"
        return [row[0] for row in conn.execute(sql, (PLUGIN.zh_fts(query),))]
    finally:
        conn.close()


TEXTS = [
    "安装光伏组件三十块",
    "光伏，组件分开写",
    "组光件伏",
    "A3号楼路灯不亮",
    "A3 区 LED 灯",
    "𠮷野家门口",
    "Ａ３号楼全角",
]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("光", [0, 1, 2]),
        ("伏", [0, 1, 2]),
        ("光伏", [0, 1]),
        ("光伏组件", [0]),
        ("光伏 组件", [0, 1]),
        ("伏组", [0]),
        ("不存在的词", []),
        ("光组", []),
        ("A3", [3, 4, 6]),
        ("a3号楼", [3, 6]),
        ("3号楼", []),
        ("A3号", [3, 6]),
        ("led", [4]),
        ("𠮷野", [5]),
        ("，。！", []),
        ('"', []),
        ('"光伏" OR "路灯"', []),
        ("光伏* NOT 组件", []),
    ],
)
def test_a_search_finds_exactly_the_texts_with_these_words(query: str, expected: list[int]) -> None:
    """Words within words, single characters, mixed scripts, operators taken as words."""
    assert found(TEXTS, query) == expected


HAN = st.text(alphabet="光伏组件路灯不亮甲乙", min_size=1, max_size=12)


@given(st.lists(HAN, min_size=1, max_size=6), HAN)
def test_chinese_search_is_substring_search(texts: list[str], query: str) -> None:
    """For text without spaces and punctuation: as if every text were read through."""
    assert found(texts, query) == [i for i, text in enumerate(texts) if query in text]


@given(st.text(max_size=30))
def test_no_query_is_a_syntax_error(query: str) -> None:
    """Whatever somebody types, SQLite understands what the plugin makes of it."""
    assume("\0" not in query)
    found(["光伏"], query)
