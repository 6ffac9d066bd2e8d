"""Certificates over time, at the centre: revoke, renew."""

from contextlib import closing
from pathlib import Path

import click

from syncgov.cli.app import Output, command, numbered, path_argument, root
from syncgov.cli.centre import require_centre
from syncgov.cli.words import both, language
from syncgov.storage.wording import SHORT_KEY, reach_words, role_words, time_words

REASONS = ("lost", "retired", "fork", "misuse")


@command(
    root,
    ("停用终端：此后送达的一律退回。", "Revoke a device: what arrives later is refused."),
    "syncgov revoke centre 3f9a1c07 --reason lost --last-good 128",
)
@path_argument("centre")
@click.argument("device")
@click.option(
    "--last-good",
    type=click.IntRange(min=0),
    metavar="N",
    help=both("最后一条可信变更的编号；之后的标为有争议。", "Last change beyond doubt; later ones are disputed."),
)
@click.option(
    "--reason",
    type=click.Choice(REASONS),
    default="lost",
    show_default=True,
    help=both("原因：遗失、停用、重复编号、违规使用。", "Why: lost, retired, its numbers were used twice, misuse."),
)
def revoke(out: Output, centre: Path, device: str, last_good: int | None, reason: str) -> None:
    from syncgov.centre import certificates
    from syncgov.centre.centre import Centre

    require_centre(centre)
    with closing(Centre(centre)) as opened:
        done = certificates.revoke(opened, device, reason, last_good)
    short = done.device[:SHORT_KEY]
    out.line(
        f"终端 {short} 已停用；日志里有它的 {done.logged} 条，其中有争议 {done.disputed} 条",
        f"device {short} is revoked; the log holds {done.logged} of its changes, {done.disputed} of them disputed",
    )
    out.line(
        "没有送达的内容：收回终端后由主管 syncgov adopt 补签；继续使用请发新登记码，用 syncgov rejoin 重新登记",
        "undelivered work: a supervisor can `syncgov adopt` its file; with a new code it can `syncgov rejoin`",
    )
    out.result(done)


@command(
    root,
    (
        "续期或变更证书：有效期、岗位、区域、责任单位、人员。",
        "Renew a certificate, with other rights if given.",
    ),
    "syncgov renew centre 3f9a1c07",
    "syncgov renew centre 3f9a1c07 --area 620502007002 --staff W001 --days 365",
    "syncgov renew centre 3f9a1c07 --without W003",
)
@path_argument("centre")
@click.argument("device")
@click.option("--role", "roles", multiple=True, help=both("改为这些岗位，可多次。", "New roles; may be repeated."))
@click.option("--area", "areas", multiple=True, help=both("改为这些区域，可多次。", "New area codes; repeatable."))
@click.option("--unit", "units", multiple=True, help=both("改为这些责任单位，可多次。", "New units; repeatable."))
@click.option("--no-unit", is_flag=True, help=both("不再按责任单位收记录。", "No units any more."))
@click.option("--staff", "people", multiple=True, help=both("改为这些人员，可多次。", "New staff; may be repeated."))
@click.option(
    "--without",
    multiple=True,
    metavar="ID",
    help=both(
        "去掉这个人员，并停用其在本终端的密钥，可多次。", "Take a person off it, and end the person's keys on it."
    ),
)
@click.option(
    "--days", type=click.IntRange(1, 3650), default=730, show_default=True, help=both("有效天数。", "Days it is valid.")
)
def renew(
    out: Output,
    centre: Path,
    device: str,
    roles: tuple[str, ...],
    areas: tuple[str, ...],
    units: tuple[str, ...],
    no_unit: bool,
    people: tuple[str, ...],
    without: tuple[str, ...],
    days: int,
) -> None:
    from syncgov.centre import certificates
    from syncgov.centre.centre import Centre

    require_centre(centre)
    wanted = () if no_unit else units or None
    with closing(Centre(centre)) as opened:
        done = certificates.renew(
            opened, device, roles=roles, areas=areas, units=wanted, staff=people or None, without=without, days=days
        )
    words = numbered([role_words(role, language()) for role in done.roles])
    short, until = done.device[:SHORT_KEY], time_words(done.valid_to)[:10]
    out.line(
        f"终端 {short}：{words}，{reach_words(done.areas, done.units)}，有效至 {until}",
        f"device {short}: {words}, {reach_words(done.areas, done.units, 'en')}, until {until}",
    )
    out.result(done)
