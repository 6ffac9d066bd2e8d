"""The built wheel contains all that it needs, and the lock file is one that anybody can install from."""

import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# What only the centre, the publisher or a developer installs: a field device must run without it.
EXTRA_PACKAGES = ("starlette", "uvicorn", "datasette", "mkdocs", "material", "pyrage", "pytest", "hypothesis")

PACKAGED_SUFFIXES = {".py", ".sql", ".yml", ".csv", ".json", ".md", ".html", ".css", ".js", ".svg", ".txt", ".typed"}


@dataclass(frozen=True, slots=True)
class Installed:
    """A fresh environment with the built wheel in it, and nothing of the checkout."""

    wheel: Path
    python: Path
    syncgov: Path
    elsewhere: Path

    def run(self, *args: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment from a folder that has nothing to do with the checkout."""
        return subprocess.run(args, cwd=self.elsewhere, capture_output=True, text=True, check=False, timeout=120)

    def python_prints(self, code: str) -> str:
        """Return what *code* prints in the environment."""
        done = self.run(self.python, "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def build_wheel(folder: Path) -> Path:
    """Build the wheel of the checkout into *folder*, without network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the wheel offline; its dependencies are seen through a path file to the running environment.

    A line of a path file only extends the search path: the path files of the running environment, and so its
    editable installation of the checkout, stay without effect.
    """
    folder = tmp_path_factory.mktemp("wheel")
    wheel = build_wheel(folder / "dist")
    env = folder / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", env], check=True, capture_output=True)
    bin_folder = env / Path(sysconfig.get_path("scripts")).name
    python = bin_folder / Path(sys.executable).name
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    (site_packages,) = env.glob("**/site-packages")
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    return Installed(wheel, python, bin_folder / "syncgov", elsewhere)


def test_the_installed_package_is_not_the_checkout(installed: Installed) -> None:
    """The tests below would prove nothing if they ran the checkout."""
    paths = installed.python_prints("import syncgov, portal; print(syncgov.__file__, portal.__file__)")
    assert str(ROOT) not in paths
    assert paths.count("site-packages") == 2


def test_the_wheel_contains_every_file_of_both_packages(installed: Installed) -> None:
    """Registers, SQL, demo data, pages, styles and scripts travel with the code."""
    packaged = set(zipfile.ZipFile(installed.wheel).namelist())
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in ("syncgov", "portal")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and (path.suffix in PACKAGED_SUFFIXES or path.parent.name == "static")
    }
    assert len([name for name in wanted if name.endswith(".yml")]) >= 13
    assert not wanted - packaged


@pytest.mark.parametrize(
    "name",
    [
        "portal/mkdocs.yml",
        "portal/datasette_metadata.yml",
        "portal/content/spec/protocol.md",
        "syncgov/py.typed",
    ],
)
def test_the_wheel_contains_what_lies_outside_the_modules(installed: Installed, name: str) -> None:
    """Configuration of the public pages and the protocol page are found beside the installed modules."""
    path = installed.python_prints(f"import importlib.resources as r; print(r.files({name.split('/')[0]!r}))")
    assert (Path(path).parent / name).is_file()


def test_the_wheel_contains_neither_tests_nor_keys(installed: Installed) -> None:
    """Nothing but the two packages and the metadata is in the wheel."""
    names = zipfile.ZipFile(installed.wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"syncgov", "portal", next(top for top in tops if top.endswith(".dist-info"))}
    assert not [name for name in names if name.endswith((".key", ".pem", ".db", ".pyc"))]


def test_the_installed_command_runs(installed: Installed) -> None:
    """`syncgov --help` works from any folder and names the commands."""
    done = installed.run(installed.syncgov, "--help")
    assert done.returncode == 0, done.stderr
    assert {"commit", "join", "status", "sync"} <= set(done.stdout.split())


def test_the_installed_command_checks_a_packaged_register(installed: Installed) -> None:
    """`syncgov register check` accepts every built-in register at the place where the wheel put it."""
    folder = Path(installed.python_prints("import importlib.resources as r; print(r.files('syncgov') / 'registers')"))
    registers = sorted(folder.glob("*.yml"))
    assert registers
    for register in registers:
        done = installed.run(installed.syncgov, "register", "check", register)
        assert done.returncode == 0, f"{register.name}: {done.stderr}"


def test_a_field_device_needs_no_extra(installed: Installed) -> None:
    """The command starts, and shows the help of a worker's commands, when no package of an extra can be imported."""
    blocked = f"import sys; sys.modules.update(dict.fromkeys({EXTRA_PACKAGES!r}))"
    for command in ("join", "commit", "sync", "status", "conflicts", "resolve", "resubmit", "fsck"):
        code = f"{blocked}; sys.argv = ['syncgov', {command!r}, '--help']; from syncgov.cli import main; main()"
        done = installed.run(installed.python, "-c", code)
        assert done.returncode == 0, done.stderr
        assert done.stdout


def locked_requirements() -> list[str]:
    """Return the requirements of the lock file, each with its hashes on one line."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]


def test_the_lock_names_no_address_and_has_a_hash_for_every_package() -> None:
    """Anybody installs from the lock through the registry of their own choice and gets the same bytes."""
    lines = locked_requirements()
    assert len(lines) > 50
    assert not [line for line in lines if "://" in line or line.startswith("-")]
    assert not [line for line in lines if not re.match(r"[a-z0-9._-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)]


def test_the_lock_covers_every_declared_dependency() -> None:
    """A dependency that was added to pyproject.toml but not locked would break `make` on a fresh machine."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *(line for lines in project["project"]["optional-dependencies"].values() for line in lines),
        *project["dependency-groups"]["dev"],
    ]
    names = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in declared} - {"syncgov"}
    assert not names - {line.split("==")[0] for line in locked_requirements()}
