"""The portal's search and Datasette's over the demo: each finds exactly what reading every text finds."""

import asyncio
import json
import sqlite3
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from playwright.sync_api import Browser

from portal import find, pages
from portal.find import Document
from portal.site import Site
from portal.source import open_source
from syncgov.demo.run import Ran
from syncgov.publish.browse import make_datasette
from tests.browser.conftest import browser  # noqa: F401 - the fixture

pytestmark = pytest.mark.browser

QUERIES = 200
CONTENT = Path(find.__file__).parent / "content"
SEARCH = """async (queries) => {
    const found = [];
    for (const query of queries) found.push((await syncgovFind.search(query).take(1e6)).map((card) => card.address));
    return found;
}"""


def is_chinese(text: str) -> bool:
    """Tell whether all of *text* is Han."""
    return bool(text) and all("\u4e00" <= sign <= "\u9fff" for sign in text)


def texts_of(public_db: Path) -> dict[tuple[str, str], list[str]]:
    """Return the searched texts of each row of public.db: of a list its strings."""
    found: dict[tuple[str, str], list[str]] = {}
    with closing(sqlite3.connect(public_db)) as conn:
        columns: dict[str, list[tuple[str, str]]] = {}
        for register, name, kind in conn.execute('SELECT register, name, type FROM "column" WHERE public_text'):
            columns.setdefault(register, []).append((name, kind))
        for register, named in columns.items():
            names = ", ".join(f'"{name}"' for name, _ in named)
            for key, *values in conn.execute(f'SELECT "key", {names} FROM "{register}"'):
                told = [(value, kind) for value, (_, kind) in zip(values, named, strict=True) if value is not None]
                texts = [text for value, kind in told for text in (strings(value) if kind == "list" else [value])]
                found[register, key] = [unicodedata.normalize("NFKC", text) for text in texts]
    return found


def strings(text: str) -> Iterator[str]:
    """Yield the strings in the JSON of a list column."""
    waiting = [json.loads(text)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, (list, dict)):
            waiting += value.values() if isinstance(value, dict) else value


def queries_of(texts: list[str]) -> list[str]:
    """Return 200 different queries of one to six characters: half cut out of the texts, the others made up.

    Those of one kind are made of pairs that stand in one text, but seldom one after the other: no index of pairs alone
    tells them from words.
    """
    random, signs = Random(4), sorted({sign for text in texts for sign in text if is_chinese(sign)})
    found: dict[str, None] = {}
    while len(found) < QUERIES:
        length = random.randint(1, 6)
        if len(found) % 4 == 3:
            query = "".join(random.choices(signs, k=length))
        elif len(found) % 4 == 1:
            query = chained(random.choice(texts), length, random)
        else:
            text = random.choice(texts)
            start = random.randrange(max(1, len(text) - length))
            query = text[start : start + length]
        if is_chinese(query):
            found[query] = None
    return list(found)


def chained(text: str, length: int, random: Random) -> str:
    """Return up to *length* characters, at least three, whose pairs all stand in *text*; '' where there are none."""
    pairs = sorted({text[i : i + 2] for i in range(len(text) - 1)})
    query = random.choice(pairs) if pairs else ""
    while query and len(query) < max(3, length):
        following = [pair[1] for pair in pairs if pair[0] == query[-1]]
        query = query + random.choice(following) if following else ""
    return query


async def ask_datasette(public: Path, registers: list[str], queries: list[str]) -> list[set[tuple[str, str]]]:
    """Return what Datasette's search finds for each query, by the SQL of its search box."""
    served = make_datasette(public)
    await served.invoke_startup()
    database = served.get_database("public")
    answers = []
    for query in queries:
        found: set[tuple[str, str]] = set()
        for register in registers:
            fts = f'"{register}_fts"'
            hits = f"SELECT rowid FROM {fts} WHERE {fts} MATCH escape_fts(:q)"
            rows = await database.execute(f'SELECT "key" FROM "{register}" WHERE rowid IN ({hits})', {"q": query})
            found |= {(register, row[0]) for row in rows}
        answers.append(found)
    for query, found in list(zip(queries, answers, strict=True))[:5]:  # and by the search box itself
        for register in registers:
            answer = await served.client.get(f"/public/{register}.json", params={"_search": query, "_shape": "array"})
            assert {row["key"] for row in answer.json()} <= {key for table, key in found if table == register}
            assert bool(answer.json()) == any(table == register for table, _ in found)
    return answers


def test_both_searches_find_exactly_what_a_scan_finds(ran: Ran, browser: Browser) -> None:  # noqa: F811
    """200 Chinese queries: Datasette equals a scan of the rows' texts, the portal a scan of all that it can find."""
    texts = texts_of(ran.public / "public.db")
    registers = sorted({register for register, _ in texts})
    queries = queries_of(sorted({text for each in texts.values() for text in each}))
    scanned = [{row for row, each in texts.items() if any(query in text for text in each)} for query in queries]
    with ThreadPoolExecutor(1) as pool:  # the browser's driver has a loop of its own in this thread
        asked = pool.submit(lambda: asyncio.run(ask_datasette(ran.public, registers, queries)))
    assert asked.result() == scanned
    assert sum(map(bool, scanned)) > QUERIES // 2
    assert sum(not found for found in scanned) > QUERIES // 8
    with open_source(ran.public / "public.db") as source:
        site = Site(source)
        known = list(find.documents(site, pages.others(site), CONTENT))
        rows = {
            (item.name, row.key): site.page_of(row) for item in site.listed for row in source.rows(item)
        }  # those that have a page
    page = browser.new_page()
    page.goto((ran.public / "portal" / "find.html").as_uri())
    found = page.evaluate(SEARCH, queries)
    page.close()
    assert found == [scan(known, query) for query in queries]
    assert all({rows[row] for row in each & rows.keys()} <= set(one) for each, one in zip(scanned, found, strict=True))


def scan(known: list[Document], query: str) -> list[str]:
    """Return the addresses of the documents with *query* in one of their texts, read through one by one."""
    return [each.address for each in known if any(query in unicodedata.normalize("NFKC", part) for part in each.parts)]
