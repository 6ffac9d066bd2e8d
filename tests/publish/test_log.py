"""The static log leads to its checkpoint, discloses what it must, and proves every row."""

from pathlib import Path

import pytest

from syncgov.audit.audit import audit
from syncgov.core.canonical import encode
from syncgov.core.charter import open_charter
from syncgov.core.commitment import open_body, parse_path
from syncgov.core.merge import WITHHELD
from syncgov.core.note import Checkpoint, verify_checkpoint
from syncgov.core.public_log import PublicLeaf, fold_public
from syncgov.core.record_proof import verify_record_proof
from syncgov.core.statement import Leaf, parse_leaf
from syncgov.core.tree import bundle_path, bundles, leaf_hash, parse_bundle, parse_tile, tile_path, tiles, tree_hash
from syncgov.publish.redaction import hidden_writes, public_leaf, public_state
from syncgov.publish.snapshot import take_snapshot
from tests.centre.test_bypasses import Cells, Forger
from tests.helpers import EAST, new_key
from tests.leaks import holders
from tests.publish.place import CANARIES, ODD_KEY, Place, add
from tests.publish.reading import cells, disclosed


def checkpoint_of(out: Path) -> Checkpoint:
    """Return the published checkpoint, verified with the published charter."""
    charter = open_charter((out / "log" / "charter.json").read_bytes())
    return verify_checkpoint((out / "log" / "checkpoint").read_text(encoding="utf-8"), charter.log)


def leaves_of(out: Path) -> list[Leaf]:
    """Return every leaf of the entry bundles."""
    found: list[bytes] = []
    for n, width in bundles(checkpoint_of(out).size):
        found += parse_bundle((out / "log" / bundle_path(n, width)).read_bytes())
    return [parse_leaf(raw) for raw in found]


def test_entries_and_tiles_lead_to_the_checkpoint(place: Place) -> None:
    """The bundles hash to the root, and level 0 of the tiles is those hashes; nothing else is there."""
    log, checkpoint = place.out / "log", checkpoint_of(place.out)
    hashes = [leaf_hash(leaf.raw) for leaf in leaves_of(place.out)]
    assert (len(hashes), tree_hash(hashes)) == (checkpoint.size, checkpoint.root)
    named = [tile_path(*tile) for tile in tiles(checkpoint.size)]
    level0 = [h for path in named if path.startswith("tile/0/") for h in parse_tile((log / path).read_bytes())]
    assert level0 == hashes
    named += [bundle_path(*bundle) for bundle in bundles(checkpoint.size)]
    assert sorted(str(p.relative_to(log)) for p in (log / "tile").rglob("*") if p.is_file()) == sorted(named)


def test_disclosed_bodies_are_those_that_were_signed(place: Place) -> None:
    """Each line opens against its statement; each public write of an accepted leaf is disclosed or withheld by name."""
    leaves = leaves_of(place.out)
    named = {dot for (dot,) in cells(place.out, "SELECT dot FROM withheld")}
    assert len(named) == 1
    lines = {line["index"]: encode(line["body"]) for line in disclosed(place.out)}
    assert sorted(lines) == list(lines)
    for index, leaf in enumerate(leaves):
        st = leaf.changeset.statement
        if not leaf.accepted or st.pub == 0:
            continue
        shown = {position for position, _write in open_body(lines[index], st).disclosed()}
        hidden = {p for p in range(st.pub) if f"{st.dev}.{st.seq}.{p}" in named}
        assert shown | hidden == set(range(st.pub))
        assert not shown & hidden


def test_a_refused_changeset_shows_only_codes(place: Place) -> None:
    """Of the refused lamp: presence, community, month, step; not its words."""
    (index,) = [i for i, leaf in enumerate(leaves_of(place.out)) if not leaf.accepted]
    (line,) = [line for line in disclosed(place.out) if line["index"] == index]
    fields = {parse_path(slot[1]).field for slot in line["body"]["slots"] if isinstance(slot, list)}
    assert fields == {"_alive", "_community", "_month", "step"}
    assert cells(place.out, "SELECT register, key, verdict FROM leaf WHERE idx = ?", index) == [
        ("lamp", place.keys[3], "refused:area")
    ]


def test_a_refused_step_with_words_in_it_is_not_disclosed(own_place: Place) -> None:
    """Somebody typed a name where a code belongs, and an area where a telephone belongs: neither gets out."""
    east, text = own_place.world.replicas["east"], "鹮貉隼鹀某某"
    add(east, 9, spot="13912345678", crew=text, kind="pole")
    own_place.world.sync(east, CANARIES["person"])
    own_place.publish()
    assert cells(own_place.out, "SELECT verdict, key FROM leaf ORDER BY idx DESC LIMIT 2")[1] == (
        "refused:area",
        new_key(9),
    )
    slots = [slot for slot in disclosed(own_place.out)[-2]["body"]["slots"] if isinstance(slot, list)]
    assert {parse_path(slot[1]).field for slot in slots} == {"_alive", "_month"}
    published = [path for path in own_place.out.rglob("*") if path.is_file()]
    assert holders([text, "13912345678"], published) == {text: set(), "13912345678": set()}


def test_a_refused_step_that_was_signed_as_private_is_not_disclosed(own_place: Place) -> None:
    """A device put the step among the private writes: refused, and nobody promised that to the public."""
    east = own_place.world.replicas["east"]
    whole: Cells = {
        "_alive": (True, ()),
        "_community": (EAST[:6], ()),
        "_month": ("2026-11", ()),
        "spot": (EAST, ()),
        "seen_on": ("2026-11-20", ()),
        "step": ({"state": "fresh", "crew": None}, ()),
    }
    forger = Forger(own_place.world, east)
    assert forger.push(("lamp", new_key(8)), whole, CANARIES["person"], kept_back={"step"})[1] == "refused:skeleton"
    own_place.publish()
    ((index,),) = cells(own_place.out, "SELECT idx FROM leaf WHERE verdict = 'refused:skeleton'")
    (line,) = [line for line in disclosed(own_place.out) if line["index"] == index]
    slots = [slot for slot in line["body"]["slots"] if isinstance(slot, list)]
    assert {parse_path(slot[1]).field for slot in slots} == {"_alive", "_community", "_month"}
    assert {finding.code for finding in audit(own_place.out, None).findings} == {"portal"}  # none was made here


def test_every_row_has_evidence_that_verifies(place: Place) -> None:
    """Each link is a file, the file proves the row under the charter, and says what the row says."""
    charter = open_charter((place.out / "log" / "charter.json").read_bytes())
    checked = 0
    for table in ("lamp", "crew", "device"):
        for key, link in cells(place.out, f'SELECT key, _evidence FROM "{table}"'):
            proof = verify_record_proof((place.out / link).read_bytes(), charter)
            assert (proof.table, proof.key) == (table, key)
            assert any(f.field == "_alive" and f.value is True for f in proof.fields)
            checked += 1
    assert checked == 3 + 2 + 2
    stored = [p for p in (place.out / "log" / "proofs").rglob("*") if p.is_file()]
    assert len(stored) == checked


def test_an_odd_key_gets_a_plain_file_name(place: Place) -> None:
    """No character of a key that a URL, a file system or a browser would read otherwise."""
    ((link,),) = cells(place.out, "SELECT _evidence FROM crew WHERE key = ?", ODD_KEY)
    assert link == "log/proofs/crew/~E7~94~B2~2F~E4~B9~99~20~7E~252F..~3Cb~3E.json".replace("%25", "~25")
    assert (place.out / link).is_file()


def test_the_centres_state_is_what_the_public_can_fold(place: Place) -> None:
    """The fast fold of the centre and the reference over disclosed bodies give one public state."""
    with take_snapshot(place.world.centre.reader()) as snapshot:
        hidden = hidden_writes(snapshot.ledger)
        leaves: list[PublicLeaf] = []
        for entry in snapshot.entries():
            registers = snapshot.registers_at(entry.leaf.changeset.statement.seen.size)
            leaves.append(public_leaf(entry, registers, hidden, snapshot.ledger.charter))
        state = public_state(snapshot, leaves, hidden)
        assert state == fold_public(leaves, snapshot.registers_at)
    assert any(head.value is WITHHELD for r in state.values() for f in r.fields.values() for head in f.heads)


@pytest.mark.parametrize("name", ["checkpoint", "charter.json"])
def test_head_files_are_the_centres_own(place: Place, name: str) -> None:
    """Bytes are passed on as they were signed."""
    ledger = place.world.centre.reader()
    key = name.removesuffix(".json")
    assert (place.out / "log" / name).read_bytes().decode() == ledger.meta.get(key)
