"""Columns that another program renamed or added: what was written there is kept and named."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import World, a_task, insert, row


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A centre without devices."""
    with World.make(tmp_path) as found:
        yield found


def test_a_renamed_column_loses_nothing(world: World) -> None:
    """The value is kept aside, the problem names both columns, the table comes back as declared."""
    east = world.device("east")
    key = insert(east, "task", a_task(secret="旧的"))
    world.sync(east)
    east.conn.execute("ALTER TABLE task RENAME COLUMN secret TO geheim")
    east.conn.execute("UPDATE task SET geheim = '重要内容'")
    done = east.commit()
    assert done.signed == []
    ((bad, error),) = done.problems
    assert bad == ("task", key)
    assert "geheim" in error.zh
    assert "secret" in error.zh
    ((held,),) = east.conn.execute("SELECT columns FROM _sg_held").fetchall()
    assert "重要内容" in held
    found = row(east, "task", key)
    assert found is not None
    assert found["secret"] == "旧的"


def test_an_added_column_loses_nothing(world: World) -> None:
    """And the declared columns of the same row are signed as ever."""
    east = world.device("east")
    key = insert(east, "task", a_task())
    world.sync(east)
    east.conn.execute("ALTER TABLE task ADD COLUMN extra TEXT")
    east.conn.execute("UPDATE task SET extra = '附注', title = '新标题' WHERE id = ?", (key,))
    done = east.commit()
    assert [record for _seq, record in done.signed] == [("task", key)]
    assert len(done.problems) == 1
    assert world.sync(east).accepted == 1
    assert "附注" in east.conn.execute("SELECT columns FROM _sg_held").fetchone()[0]
