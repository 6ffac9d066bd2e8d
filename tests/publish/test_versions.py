"""A public.db, or a proof, of another version: each program names the version that it found and the command to run."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from portal import build as portal_build
from syncgov.audit.audit import audit
from syncgov.audit.prove import verify_proof_file
from syncgov.errors import SyncgovError, VersionError
from syncgov.publish.browse import make_datasette
from tests.audit.street import write_pages
from tests.publish.place import Place
from tests.test_cli import CHINESE, run

VERSIONS = {"2": "pip install --upgrade syncgov", "": "syncgov publish"}


@pytest.fixture(params=VERSIONS)
def other(request: pytest.FixtureRequest, out: Path) -> tuple[Path, str, str]:
    """A published folder of another version, sealed anew; the version, and what to run."""
    version = str(request.param)
    with closing(sqlite3.connect(out / "public.db")) as conn:
        conn.execute("UPDATE meta SET value = ? WHERE key = 'protocol_version'", [version or None])
        conn.commit()
    write_pages(out, {})
    return out, version, VERSIONS[version]


def test_every_reader_names_the_version_and_the_command(
    other: tuple[Path, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Portal build, browse, sheet and audit; the site that stands stays."""
    out, version, command = other
    (out / "portal/index.html").write_text("stands")
    assert portal_build.main([str(out / "public.db"), str(out / "portal")]) == 65
    said = [capsys.readouterr().err]
    assert (out / "portal/index.html").read_text() == "stands"
    with pytest.raises(VersionError) as refused:
        make_datasette(out)
    said += [f"{refused.value.zh}\n{refused.value.en}", run("sheet", out, out / "sheets").output]
    report = audit(out, out.parent / "centre/charter.json", workers=0)
    (finding,) = [each for each in report.findings if each.code == "version"]
    assert not report.has("cell", "schema")  # one sentence, not a thousand
    assert report.skipped
    said.append(f"{finding.zh}\n{finding.en}")
    for text in said:
        assert command in text
        assert not version or version in text


def test_what_is_no_version_at_all_is_named_too(out: Path) -> None:
    """Without the row, without the table, without the file: a sentence that names what to run, never a traceback."""
    for statement in ("DELETE FROM meta WHERE key = 'protocol_version'", "DROP TABLE meta"):
        with closing(sqlite3.connect(out / "public.db")) as conn:
            conn.execute(statement)
            conn.commit()
        with pytest.raises(SyncgovError, match="syncgov publish"):
            make_datasette(out)
    (out / "public.db").unlink()
    with pytest.raises(SyncgovError, match="syncgov publish"):
        make_datasette(out)
    done = run("browse", out, env=CHINESE)
    assert done.exit_code == 74
    assert "syncgov publish" in done.output


@pytest.mark.parametrize("version", [2, 0])
def test_a_proof_of_another_version_is_not_called_false(place: Place, tmp_path: Path, version: int) -> None:
    """It is not checked, which is something else than not holding."""
    path = tmp_path / "proof.json"
    shutil.copyfile(place.out / f"log/proofs/lamp/{place.keys[0]}.json", path)
    verify_proof_file(path)
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"v": version}), encoding="utf-8")
    done = run("verify", path)
    assert done.exit_code == 65
    assert f"version {version}" in done.output
    assert ("pip install" if version == 2 else "syncgov prove") in done.output
