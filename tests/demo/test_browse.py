"""`syncgov browse` serves what was published; a crawler follows every evidence link of the matters' pages."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests
from datasette.utils import tilde_encode

from syncgov.core.charter import open_charter
from syncgov.core.record_proof import verify_record_proof
from syncgov.demo.run import Ran

LINK = re.compile(r'href="(/log/proofs/[^"]+)"')


@pytest.fixture(scope="module")
def site(ran: Ran) -> Iterator[str]:
    """The address of a running `syncgov browse`."""
    command = [sys.executable, "-m", "syncgov", "browse", str(ran.public), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = json.loads(process.stdout.readline())
        yield str(found["data"]).removesuffix("/public")
        process.terminate()


def test_every_evidence_link_of_the_matters_verifies(site: str, ran: Ran) -> None:
    """From page to page of the table, and what each row links to."""
    charter = open_charter((ran.centre / "charter.json").read_bytes())
    session = requests.Session()
    following: str | None = ""
    links: set[str] = set()
    pages = 0
    while following is not None:
        part = {"_size": "25", **({"_next": following} if following else {})}
        links |= set(LINK.findall(session.get(f"{site}/public/event", params=part, timeout=20).text))
        following = session.get(f"{site}/public/event.json", params=part, timeout=20).json()["next"]
        pages += 1
    assert pages > 2
    assert len(links) == ran.story.expect.events + ran.story.expect.void
    for link in sorted(links):
        proof = verify_record_proof(session.get(site + link, timeout=20).content, charter)
        assert proof.key in link


def test_a_nonsense_search_finds_nothing(site: str) -> None:
    """And a word that is there finds what has it."""
    rows = requests.get(f"{site}/public/event.json", params={"_shape": "objects"}, timeout=20).json()["rows"]
    word = next(row["title_public"] for row in rows if row["title_public"])[-2:]
    asked = {
        text: requests.get(
            f"{site}/public/event.json", params={"_search": text, "_shape": "objects"}, timeout=20
        ).json()
        for text in (word, "鹮貉隼鹀鹮貉")
    }
    assert asked["鹮貉隼鹀鹮貉"]["rows"] == []
    assert asked[word]["rows"]
    assert all(word in json.dumps(row, ensure_ascii=False) for row in asked[word]["rows"])


def test_portal_and_data_are_beside_it(site: str) -> None:
    """One address serves all."""
    for path in ("/portal/index.html", "/data/event.csv", "/log/checkpoint"):
        assert requests.get(site + path, timeout=20).status_code == 200
    assert requests.get(f"{site}/public?sql=select+1", timeout=20).status_code == 403


def test_rows_lead_to_their_pages_on_the_portal(site: str, ran: Ran) -> None:
    """The address that a row's page gives is a page of the portal, for every register whose rows have one."""
    tables = json.loads((ran.public / "metadata.json").read_bytes())["databases"]["public"]["tables"]
    own = [name for name, spec in tables.items() if spec["plugins"]["syncgov"].get("page") == "row"]
    assert len(own) >= 2
    for name in own:
        keys = requests.get(f"{site}/public/{name}.json?_shape=array&_col=key&_size=5", timeout=20).json()
        for key in keys:
            page = requests.get(f"{site}/public/{name}/{tilde_encode(key['key'])}", timeout=20).text
            link = re.search(r'href="(/portal/r/[^"]+)"', page)
            assert link is not None
            assert requests.get(site + link[1], timeout=20).status_code == 200
