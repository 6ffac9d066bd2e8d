"""The command of the person who decides which texts the public reads: review."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncgov.cli.app import Output, command, numbered, path_argument, root
from syncgov.cli.centre import require_centre
from syncgov.cli.words import both, language, say
from syncgov.storage.wording import SHORT_KEY, one_line, role_words, time_words

if TYPE_CHECKING:  # only this command loads these modules
    from syncgov.centre.centre import Centre
    from syncgov.publish.desk import Item

STATES = {
    "withheld": ("不予公开，待审核", "withheld until somebody decides"),
    "hit": ("下次公开时不予公开", "will be withheld by the next publication"),
    "unread": ("没有命中，还没有人核准", "nothing found, approved by nobody"),
}
MAX_LISTED = 200  # texts that are printed one by one


@command(
    root,
    (
        "公开审核：列出疑似含个人信息、或没有人核准的公开文字；核准，或写下脱敏后的文字。",
        "List texts for the public that may name people or that nobody approved; approve them, or word them anew.",
    ),
    "syncgov review centre --community 620502007001",
    "syncgov review centre --set 812.3 Repaired. --staff P001",
    "syncgov review centre --approve 815.2 --approve 816.2 --staff P001",
)
@path_argument("centre")
@click.option("--community", default="", metavar="CODE", help=both("只列这个社区的。", "Only of this community."))
@click.option("--register", "table", default="", metavar="NAME", help=both("只列这本登记册的。", "Only of this one."))
@click.option(
    "--approve",
    "approved",
    multiple=True,
    metavar="ID",
    help=both("照原样公开，可多次。", "Publish as it is; repeatable."),
)
@click.option(
    "--set",
    "replaced",
    multiple=True,
    nargs=2,
    metavar="ID TEXT",
    help=both("换成脱敏后的文字，可多次；旧文字不予公开。", "Word it anew; the old text stays withheld. Repeatable."),
)
@click.option("--sure", is_flag=True, help=both("新文字虽有命中也公开。", "Publish the new text although it is a hit."))
@click.option(
    "--staff", metavar="ID", help=both("审核人的人员编号（核准、改写时必填）。", "Who decides (needed then).")
)
def review(
    out: Output,
    centre: Path,
    community: str,
    table: str,
    approved: tuple[str, ...],
    replaced: tuple[tuple[str, str], ...],
    sure: bool,
    staff: str | None,
) -> None:
    from syncgov.centre.centre import Centre

    if (approved or replaced) and not staff:
        raise click.UsageError(say("请用 --staff 写明审核人", "say who decides: --staff ID"))
    if (approved or replaced) and (community or table):
        raise click.UsageError(
            say("--community、--register 只用来查看", "--community and --register are for the list only")
        )
    require_centre(centre)
    with closing(Centre(centre)) as opened:
        if staff and (approved or replaced):
            _decide(out, opened, approved, replaced, sure, staff)
        else:
            _list(out, opened, community, table)


def _decide(
    out: Output,
    opened: "Centre",
    approved: Sequence[str],
    replaced: Sequence[tuple[str, str]],
    sure: bool,
    staff: str,
) -> None:
    from syncgov.centre.desk import Desk
    from syncgov.publish import desk

    person = Desk(opened, staff)
    texts = desk.replace_all(person, replaced, sure=sure)
    for one in texts:
        out.line(
            f"{one.old} 已改写，新文字是 {one.new}；旧文字不予公开",
            f"{one.old} was worded anew as {one.new}; the old text stays withheld",
        )
    items = desk.approve(person, approved) if approved else []
    for item in items:
        out.line(f"{item.id} 已核准：{item.label} {item.field_label}", f"{item.id} approved: {item.label} {item.field}")
    out.line("下次 publish 时生效", "the next `syncgov publish` shows it")
    out.result({"approved": [item.id for item in items], "replaced": [[one.old, one.new] for one in texts]})


def _list(out: Output, opened: "Centre", community: str, table: str) -> None:
    from syncgov.publish import desk

    found = desk.waiting(opened.reader(), community, table)
    out.result({"waiting": [_plain(item) for item in found]})
    if not found:
        out.line("没有待审核的文字", "no text waits")
        return
    out.line(f"待审核 {len(found)} 处", f"{len(found)} texts wait")
    for item in found[:MAX_LISTED]:
        _print_item(out, item)
    if len(found) > MAX_LISTED:
        out.line(
            f"……还有 {len(found) - MAX_LISTED} 处，用 --community、--register 分批查看",
            f"… and {len(found) - MAX_LISTED} more; see --community and --register",
        )
    first = found[0].id
    out.line(
        f"照原样公开：--approve {first} --staff 编号；改写：--set {first} '新文字' --staff 编号",
        f"publish as it is: --approve {first} --staff ID; word anew: --set {first} 'TEXT' --staff ID",
    )


def _print_item(out: Output, item: "Item") -> None:
    from syncgov.publish.desk import marked, matches_words

    chinese = language() == "zh"
    found = matches_words(item.matches, 0 if chinese else 1)
    roles = numbered([role_words(role, language()) for role in item.roles])
    person = say(f"人员 {item.by}", f"person {item.by}") if item.by else say("没有写明人员", "nobody named")
    out.text(f"{item.id}  {item.label}  {item.field_label}  [{say(*STATES[item.state])}]")
    if found:
        out.line(f"    命中：{found}", f"    found: {found}")
    out.text(f"    {one_line(marked(item.text, item.matches))}")
    device = f"{say('终端', 'device')} {item.device[:SHORT_KEY]}"
    out.text(f"    {roles}  {person}  {device}  {time_words(item.received_ms)}  {item.table} {item.key}")


def _plain(item: "Item") -> dict[str, Any]:
    from syncgov.publish.detectors import LABELS

    names = "id state table key label field field_label community text device roles by received_ms".split()
    matches = [{"detector": m.detector, "label": say(*LABELS[m.detector]), "text": m.text} for m in item.matches]
    return {name: getattr(item, name) for name in names} | {"matches": matches}
