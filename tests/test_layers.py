"""The arrows of CONTRIBUTING.md are enforced here, and that no Python knows a register by its name.

The checkers take a root folder, so that the same functions are shown to find planted violations.
"""

import ast
import re
import sys
import textwrap
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

_BASE = {"errors", "core"}
_MIDDLE = _BASE | {"storage"}
_UPPER = _MIDDLE | {"sync", "centre", "publish"}

# layer -> layers of ours that it may import beside itself
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "core": {"errors"},
    "storage": _BASE,
    "sync": _MIDDLE,
    "centre": _MIDDLE,
    "publish": _MIDDLE,
    "audit": _BASE,  # an independent check shares no code with the writer
    "fsck": _BASE,
    "importers": _UPPER,
    "demo": _UPPER | {"audit", "importers"},
    "cli": _UPPER | {"audit", "fsck", "importers", "demo"},
    "__main__": {"cli"},
    "__init__": _UPPER,
}
# The public names of `syncgov` itself load half of the package: only the top may use them.
MAY_USE_PUBLIC_NAMES = {"importers", "demo", "cli", "__main__"}
MAY_IMPORT_PORTAL = {"publish", "demo", "cli"}

# What core may import: nothing here reads a clock, a file, a socket or a source of randomness when called as we do.
PURE = {
    "__future__", "abc", "array", "base64", "binascii", "bisect", "collections", "contextlib", "copy", "dataclasses",
    "datetime", "decimal", "difflib", "enum", "fractions", "functools", "hashlib", "heapq", "hmac", "itertools", "json",
    "keyword", "math", "numbers", "operator", "re", "string", "struct", "textwrap", "types", "typing", "unicodedata",
    "zlib",
    "cryptography", "msgspec", "yaml",
}  # fmt: skip
PURE_PARTS = ("urllib.parse",)  # pure modules of packages that are not
# Calls that make a pure module impure.
IMPURE_CALLS = {"open", "print", "input", "now", "utcnow", "today", "generate"}

# distribution names whose import name differs
IMPORT_NAMES = {"pyyaml": "yaml", "sqlite-utils": "sqlite_utils", "mkdocs-material": "material", "pillow": "PIL"}
# module -> the extra whose packages it imports late, inside the function that needs them
LATE = {"syncgov/storage/sealing.py": "bundle", "syncgov/storage/photos.py": "photo"}
# layer -> the extra whose packages it may import beside the core dependencies
EXTRA_OF = {"centre": "centre", "publish": "publish", "demo": "demo", "portal": "publish"}


def sources(root: Path) -> list[Path]:
    """Return every Python file of the two packages under *root*."""
    return sorted(path for package in ("syncgov", "portal") for path in (root / package).rglob("*.py"))


def layer_of(path: Path, root: Path) -> str:
    """Return `portal`, or the name of the module or package right under `syncgov`."""
    package, *rest = path.relative_to(root).with_suffix("").parts
    return package if package == "portal" else rest[0]


def imports(path: Path, root: Path) -> Iterator[str]:
    """Yield the absolute dotted name of everything imported anywhere in *path*, even inside functions."""
    package = path.relative_to(root).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{stem}.{alias.name}" for alias in node.names)


def wrong_arrow(layer: str, name: str) -> bool:
    """Tell whether a module of *layer* may not import *name*."""
    top, *rest = name.split(".")
    if top == "portal":
        return layer != "portal" and layer not in MAY_IMPORT_PORTAL
    if top != "syncgov":
        return False
    if layer == "portal":
        return True
    target = rest[0] if rest else "__init__"
    if target == "__version__":
        return layer == "core"
    if target not in ALLOWED or target == "__init__":
        return layer not in MAY_USE_PUBLIC_NAMES
    return target not in ALLOWED.get(layer, set()) | {layer}


def arrow_violations(root: Path) -> list[str]:
    """List every import that points upward or sideways."""
    return [
        f"{path.relative_to(root)}: {name}"
        for path in sources(root)
        for name in imports(path, root)
        if wrong_arrow(layer_of(path, root), name)
    ]


def called_name(node: ast.Call) -> str:
    """Return `f` of `f()` and of `x.f()`."""
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def purity_violations(root: Path) -> list[str]:
    """List every import and call in core that could read or change the world outside."""
    found = []
    for path in sorted((root / "syncgov" / "core").rglob("*.py")):
        where = path.relative_to(root)
        found_names = (name for name in imports(path, root) if not name.startswith(PURE_PARTS))
        names = {name.split(".")[0] for name in found_names} - {"syncgov"}
        found += [f"{where}: imports {name}" for name in sorted(names - PURE)]
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        found += [f"{where}: calls {called_name(call)}()" for call in calls if called_name(call) in IMPURE_CALLS]
    return found


def shipped_registers(root: Path) -> set[str]:
    """Return the names of the built-in registers, the system ones (their own folder) left out."""
    return {path.stem for path in (root / "syncgov" / "registers").glob("*.yml")}


def register_name_violations(root: Path) -> list[str]:
    """List every string literal outside demo and importers that equals the name of a shipped register."""
    names = shipped_registers(root)
    return [
        f"{path.relative_to(root)}: {node.value!r} on line {node.lineno}"
        for path in sources(root)
        if layer_of(path, root) not in {"demo", "importers"}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in names
    ]


def import_names(requirements: Iterable[str]) -> set[str]:
    """Return the import names of requirement strings such as `sqlite-utils>=4,<5`."""
    names = {re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower() for requirement in requirements}
    return {IMPORT_NAMES.get(name, name) for name in names}


def declared_imports(root: Path) -> dict[str, set[str]]:
    """Return for `core` and every extra the third-party names that its layers may import."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = import_names(project["dependencies"])
    extras = {name: core | import_names(lines) for name, lines in project["optional-dependencies"].items()}
    extras["demo"] = set().union(*extras.values())
    return {"core": core, **extras}


def extra_of(path: Path, root: Path) -> str:
    """Return `core`, or the extra whose packages a module may import too."""
    return LATE.get(path.relative_to(root).as_posix(), EXTRA_OF.get(layer_of(path, root), "core"))


def undeclared_imports(root: Path) -> list[str]:
    """List every third-party import that the layer's dependency list does not bring."""
    declared = declared_imports(root)
    known = sys.stdlib_module_names | {"syncgov", "portal"}
    return [
        f"{path.relative_to(root)}: {name}"
        for path in sources(root)
        for name in {name.split(".")[0] for name in imports(path, root)}
        if name not in known | declared[extra_of(path, root)]
    ]


def plant(root: Path, files: dict[str, str]) -> None:
    """Write *files* (path to source) under *root*."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")


def test_arrows_point_down() -> None:
    """No module imports a layer above or beside its own."""
    assert len(sources(ROOT)) > 20
    assert not arrow_violations(ROOT)


def test_every_layer_is_known() -> None:
    """A new package must be given its place in the table of arrows."""
    assert {layer_of(path, ROOT) for path in sources(ROOT)} <= {*ALLOWED, "portal"}


def test_core_is_pure() -> None:
    """Core imports nothing that touches the world and calls nothing that does."""
    assert len(list((ROOT / "syncgov" / "core").glob("*.py"))) > 8
    assert not purity_violations(ROOT)


def test_no_python_knows_a_register_by_name() -> None:
    """What concerns one register is in its YAML file; only the demo and the importers may name registers."""
    assert len(shipped_registers(ROOT)) >= 13
    assert not register_name_violations(ROOT)


def test_every_import_is_declared() -> None:
    """A field device installs the core dependencies alone; no layer of its imports more."""
    assert not undeclared_imports(ROOT)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("syncgov/core/merge.py", "from syncgov.storage import replica"),
        ("syncgov/core/merge.py", "from ..storage.replica import Replica"),
        ("syncgov/core/merge.py", "from .. import storage"),
        ("syncgov/core/merge.py", "import syncgov"),
        ("syncgov/errors.py", "import syncgov.core.keys"),
        ("syncgov/storage/replica.py", "def late():\n    from syncgov.sync import client"),
        ("syncgov/sync/client.py", "from syncgov.centre.app import app"),
        ("syncgov/publish/site.py", "from syncgov import Replica"),
        ("syncgov/audit/fold.py", "from syncgov.publish import public_db"),
        ("syncgov/audit/fold.py", "import syncgov.storage.connection"),
        ("syncgov/fsck.py", "from syncgov.storage import schema"),
        ("syncgov/importers/open311.py", "from syncgov.cli import main"),
        ("syncgov/storage/replica.py", "import portal.build"),
        ("portal/build.py", "from syncgov.core import register"),
        ("portal/pages.py", "import syncgov"),
    ],
)
def test_a_planted_arrow_is_found(tmp_path: Path, path: str, source: str) -> None:
    """Each way of importing upward is seen, also relative and inside a function."""
    plant(tmp_path, {path: source, "syncgov/cli.py": "import syncgov.demo, syncgov.audit, portal.build\n"})
    assert [line.split(":")[0] for line in arrow_violations(tmp_path)] == [path]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import sqlite3", "imports sqlite3"),
        ("from os import path", "imports os"),
        ("def f():\n    import random", "imports random"),
        ("import logging.handlers", "imports logging"),
        ("text = open('x').read()", "calls open()"),
        ("import datetime\nt = datetime.datetime.now()", "calls now()"),
    ],
)
def test_a_planted_impurity_is_found(tmp_path: Path, source: str, found: str) -> None:
    """An impure import or call in core is seen."""
    plant(tmp_path, {"syncgov/core/deep/module.py": source})
    assert purity_violations(tmp_path) == [f"syncgov/core/deep/module.py: {found}"]


def test_a_planted_register_name_is_found(tmp_path: Path) -> None:
    """The name of a shipped register is seen in storage and portal; demo, importers and system names are free."""
    plant(
        tmp_path,
        {
            "syncgov/registers/event.yml": "register: event",
            "syncgov/registers/system/device.yml": "register: device",
            "syncgov/storage/replica.py": 'SYSTEM = "device"\nWORD = "events"\n',
            "syncgov/centre/intake.py": 'if table == "event":\n    pass\n',
            "syncgov/demo/story.py": 'TABLE = "event"\n',
            "syncgov/importers/open311.py": 'TABLE = "event"\n',
            "portal/pages.py": 'SQL = f"select {1} from " + "event"\n',
        },
    )
    assert [line.split(":")[0] for line in register_name_violations(tmp_path)] == [
        "portal/pages.py",
        "syncgov/centre/intake.py",
    ]


def test_a_planted_dependency_is_found(tmp_path: Path) -> None:
    """A package of an extra is seen in a layer that every field device runs; in its own layer it is fine."""
    plant(
        tmp_path,
        {
            "pyproject.toml": (ROOT / "pyproject.toml").read_text(encoding="utf-8"),
            "syncgov/storage/replica.py": "import sqlite3, sqlite_utils, yaml\n",
            "syncgov/sync/client.py": "import requests\nfrom starlette.requests import Request\n",
            "syncgov/centre/app.py": "from starlette.requests import Request\n",
        },
    )
    assert undeclared_imports(tmp_path) == ["syncgov/sync/client.py: starlette"]
