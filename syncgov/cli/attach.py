"""The command for photos and other files of a record: attach."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from syncgov.cli.app import Output, command, path_argument, path_option, root
from syncgov.cli.words import both, say
from syncgov.storage.replica import Replica


@command(
    root,
    (
        "给一条记录加照片、录音或文书；照片去掉拍摄信息并缩小。之后照常 commit 和 sync。用 --get 取回已有的附件。",
        "Add a photo, a recording or a document to a record; photos lose all metadata and get smaller. Commit and sync "
        "as usual afterwards. --get fetches the files of a record.",
    ),
    "syncgov attach my.db event 0193a6c2-7c1e-7000-8000-000000000001 photo.jpg --phase before",
    "syncgov attach my.db event 0193a6c2-7c1e-7000-8000-000000000001 --get photos",
)
@path_argument("replica")
@click.argument("table")
@click.argument("key")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option(
    "--phase",
    metavar="CODE",
    help=both("阶段，如 before（处置前）、after（处置后）。", "Phase, such as before, after."),
)
@click.option("--kind", metavar="CODE", help=both("种类；不写则按文件内容判断。", "Kind; by default what the file is."))
@path_option(
    "--get", "folder", zh="把这条记录的附件取回到这个文件夹。", en="Fetch the record's files into this folder."
)
@click.option("--small", is_flag=True, help=both("与 --get 同用：只取缩略图。", "With --get: thumbnails only."))
def attach(
    out: Output,
    replica: Path,
    table: str,
    key: str,
    file: Path | None,
    phase: str | None,
    kind: str | None,
    folder: Path | None,
    small: bool,
) -> None:
    if (file is None) == (folder is None):
        raise click.UsageError(say("写一个文件，或写 --get 文件夹", "give a FILE, or --get FOLDER"))
    if folder is not None:
        if phase or kind:
            raise click.UsageError(say("--get 不能与 --phase、--kind 同用", "--get takes no --phase and no --kind"))
        return _get(out, replica, (table, key), folder, small)
    if small:
        raise click.UsageError(say("--small 只与 --get 同用", "--small goes with --get"))
    assert file is not None
    _add(out, replica, (table, key), file, (kind, phase))


def _add(out: Output, path: Path, record: tuple[str, str], file: Path, codes: tuple[str | None, str | None]) -> None:
    from syncgov.storage.attaching import attach as add
    from syncgov.storage.attaching import read_file

    raw = read_file(file)
    with Replica.open(path) as opened:
        done = add(opened, *record, raw, kind=codes[0], phase=codes[1])
    out.line(
        f"已添加 {file.name}（{done.media_type}，{done.bytes / 1000:.0f} KB），待签名：syncgov commit {path}",
        f"added {file.name} ({done.media_type}, {done.bytes / 1000:.0f} KB); sign it with `syncgov commit {path}`",
    )
    if done.cleaned:
        out.line("照片里的拍摄信息（时间、位置、机型）已去掉", "the photo's metadata (time, place, camera) was removed")
    else:
        out.line(
            "文件按原样保存，其中的作者、时间等信息没有去掉",
            "the file is kept as it is: what it says of author and time was not removed",
        )
    out.result(asdict(done))


def _get(out: Output, path: Path, record: tuple[str, str], folder: Path, small: bool) -> None:
    from syncgov.storage.attaching import export_files, files_of
    from syncgov.sync.files import fetch_files

    with Replica.open(path) as opened:
        wanted = files_of(opened, *record, small=small)
        fetched = fetch_files(opened, [each.sha256 for each in wanted])
        written: Sequence[Path] = export_files(opened, wanted, folder)
    for each in written:
        out.data(str(each))
    out.line(f"共 {len(written)} 个，其中 {fetched} 个从中心取回", f"{len(written)} files, {fetched} of them fetched")
    out.result({"files": [str(each) for each in written], "fetched": fetched})
