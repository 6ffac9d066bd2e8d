"""The commands at the centre: init, load, enrol, serve. Modules of the centre are imported when a command runs."""

import os
from contextlib import closing
from pathlib import Path

import click

from syncgov.cli.app import Output, command, numbered, path_argument, path_option, root, staff_option, until_stopped
from syncgov.cli.words import both
from syncgov.core.canonical import unb64u
from syncgov.core.keys import device_id
from syncgov.errors import StorageError
from syncgov.storage.figures import check_registers
from syncgov.storage.files import builtin_folder, read_registers, system_registers

DEFAULT_PORT = 8600
MAX_CODES = 10_000  # a county's devices, twice


@command(
    root,
    ("新建中心：密钥、章程、数据库、日志。", "Make a centre: keys, charter, database, log."),
    "syncgov init centre --charter charter.yml",
    "syncgov init centre --charter charter.yml --registers examples/trees",
)
@path_argument("centre")
@path_option(
    "--charter", required=True, zh="章程草稿（YAML：name、origin、area）。", en="Draft (YAML: name, origin, area)."
)
@path_option("--registers", zh="登记册的文件夹；默认用自带的。", en="Folder of registers; default: the built-in ones.")
def init(out: Output, centre: Path, charter: Path, registers: Path | None) -> None:
    from syncgov.centre.centre import Centre
    from syncgov.centre.drafting import parse_draft
    from syncgov.importers.files import read_text

    draft = parse_draft(read_text(charter), charter.name)
    found = read_registers(registers or builtin_folder())
    check_registers((*system_registers(), *found))
    with closing(Centre.init(centre, draft, found)) as made:
        roots = [device_id(unb64u(text, 32)) for text in made.charter.roots]
        size = made.ledger.size
    names = [register.name for register in found]
    out.line(f"已建立“{draft.name}”（{draft.origin}），登记册 {len(found)} 个", f"made {draft.name!r} ({draft.origin})")
    out.line(f"根密钥：{numbered(roots)}（请在纸面上公布）", f"root keys: {numbered(roots)} (publish them on paper)")
    out.line(
        f"请立即把 {centre / 'roots'} 里的根密钥移到离线介质保管，不要留在这台机器上",
        f"now move the root keys in {centre / 'roots'} to an offline medium; do not leave them on this machine",
    )
    out.result({"name": draft.name, "origin": draft.origin, "roots": roots, "registers": names, "size": size})


@command(
    root,
    (
        "从 CSV、JSON、YAML 或 Markdown 载入一张表：全部载入，或一行也不载入。",
        "Load rows from CSV, JSON, YAML or Markdown: all of them or none.",
    ),
    "syncgov load centre grid_unit grids.csv",
    "syncgov load centre policy policies.yml",
)
@click.argument("target", type=click.Path(path_type=Path), metavar="CENTRE|REPLICA")
@click.argument("table")
@path_argument("file")
@staff_option
def load(out: Output, target: Path, table: str, file: Path, staff: str | None) -> None:
    from syncgov.importers import tables

    done = tables.load(target, table, file, staff)
    out.line(
        f"{table}：{done.rows} 行，其中 {done.changesets} 行有变更，已签名",
        f"{table}: {done.rows} rows, {done.changesets} changed and signed",
    )
    out.result(done)


@command(
    root,
    ("发一次性登记码。", "Give out one-time enrolment codes."),
    "syncgov enrol centre --role grid_worker --area 620502007001001 --staff W001 --staff W002",
    "syncgov enrol centre --role handler --unit 620502007-org08",
)
@path_argument("centre")
@click.option("--role", "roles", multiple=True, required=True, help=both("岗位，可多次。", "Role; may be repeated."))
@click.option("--area", "areas", multiple=True, help=both("区域代码，可多次。", "Area code; repeatable."))
@click.option(
    "--unit",
    "units",
    multiple=True,
    help=both("责任单位，可多次：收得到由它负责的记录。", "Responsible unit whose records it gets; repeatable."),
)
@click.option(
    "--staff", "people", multiple=True, help=both("使用人员，可多次；不写则不限。", "Who may use it; repeatable.")
)
@click.option(
    "--count", type=click.IntRange(1, MAX_CODES), default=1, show_default=True, help=both("几个码。", "How many.")
)
def enrol(
    out: Output,
    centre: Path,
    roles: tuple[str, ...],
    areas: tuple[str, ...],
    units: tuple[str, ...],
    people: tuple[str, ...],
    count: int,
) -> None:
    from syncgov.centre import enrolment
    from syncgov.centre.centre import Centre

    require_centre(centre)
    with closing(Centre(centre)) as opened:
        codes = enrolment.enrol(opened, roles, areas, people, count, units)
    for code in codes:
        out.data(code)
    out.line(
        f"每个码只能用一次，{enrolment.CODE_DAYS} 天内有效：syncgov join 副本 --url 地址 --code 码",
        f"each is good for one device, for {enrolment.CODE_DAYS} days: syncgov join REPLICA --url URL --code CODE",
    )
    out.result(
        {"codes": codes, "roles": roles, "areas": areas, "units": units, "people": people}
        | {"days": enrolment.CODE_DAYS}
    )


@command(
    root,
    ("同步服务，直到 Ctrl-C。", "Run the sync server until Ctrl-C."),
    "syncgov serve centre --port 8600",
)
@path_argument("centre")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help=both("端口。", "Port.")
)
def serve(out: Output, centre: Path, port: int) -> None:
    from syncgov.centre import serve as server

    def ready(taken: int) -> None:
        url = f"http://{server.HOST}:{taken}"
        out.line(f"同步服务已启动：{url}（Ctrl-C 停止）", f"serving on {url} (Ctrl-C stops)")
        out.result({"url": url, "pid": os.getpid()})

    with until_stopped():
        server.serve(centre, port, ready=ready)


def require_centre(path: Path) -> None:
    """Return if *path* is a centre; StorageError otherwise."""
    if not (path / "central.db").is_file():
        raise StorageError(f"{path} 不是中心文件夹，请先 init", f"{path} is not a centre; run `syncgov init` first")
