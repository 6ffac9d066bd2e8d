"""The commands about what is public: publish, browse, audit, prove, verify, sheet, demo."""

import os
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncgov.cli.app import FOUND, Output, command, leave, path_argument, path_option, root, until_stopped
from syncgov.cli.words import both, error_words, say
from syncgov.errors import AuditError, CommitmentError, LogError, NotAllowedError, SignatureError
from syncgov.storage.files import write_atomic
from syncgov.storage.wording import SHORT_KEY, one_line, time_words

if TYPE_CHECKING:  # only a command that needs them loads these modules
    from syncgov.audit.report import Report
    from syncgov.core.record_proof_model import ProvenField, RecordProof

BROWSE_PORT = 8001
MAX_LISTED = 100  # findings that are printed one by one
DEMO_EVENTS, DEMO_CLOSED = 563, 544  # the year of the source documents


@command(
    root,
    ("生成公开文件夹：数据库、日志、证明、网站。", "Write the public folder: database, log, proofs, site."),
    "syncgov publish centre public",
)
@path_argument("centre")
@path_argument("out_folder")
@click.option(
    "--address",
    default="",
    metavar="URL",
    help=both("网站的网址，印在公示栏的二维码里。", "The site's address, for QR codes."),
)
@click.option("--again", is_flag=True, help=both("没有变化也重新公开。", "Publish even if nothing is new."))
def publish(out: Output, centre: Path, out_folder: Path, address: str, again: bool) -> None:
    from syncgov.centre.centre import Centre
    from syncgov.cli.centre import require_centre
    from syncgov.publish import publish as publisher

    require_centre(centre)
    with closing(Centre(centre)) as opened:
        done = publisher.publish(opened, out_folder, progress=out.progress(), address=address, again=again)
    if done.unchanged:
        out.line(
            f"没有变化，{out_folder} 保持原样（要重新公开，请加 --again）",
            f"nothing is new; {out_folder} stays as it is (to publish it again, add --again)",
        )
    out.line(
        f"已公开到 {out_folder}：{done.rows} 行，日志 {done.checkpoint.size} 条，不予公开 {done.withheld} 处"
        f"，已删除 {done.erased} 处",
        f"published to {out_folder}: {done.rows} rows, log size {done.checkpoint.size}, {done.withheld} withheld, "
        f"{done.erased} erased",
    )
    if done.newly_withheld:
        out.line(
            f"其中 {done.newly_withheld} 处疑似含个人信息，本次起不予公开，待公开审核员处理",
            f"{done.newly_withheld} of them may name people and are withheld from now on, until a publisher decides",
        )
    if done.uncovered:
        years = done.uncovered
        out.line(
            f"工作日历没有 {'、'.join(years)} 年：办理时长不能算，写“—”；请登记后再公开",
            f"the working calendar lacks {', '.join(years)}: durations cannot be counted; enter it and publish again",
        )
    out.result(
        {
            "uncovered_years": list(done.uncovered),
            "out": done.out,
            "size": done.checkpoint.size,
            "rows": done.rows,
            "tables": dict(done.tables),
            "figures": dict(done.figures),
            "withheld": done.withheld,
            "newly_withheld": done.newly_withheld,
            "erased": done.erased,
            "unchanged": done.unchanged,
        }
    )


@command(
    root,
    ("在本机浏览公开文件夹：Datasette 与网站。", "Browse a public folder on this machine: Datasette and the portal."),
    "syncgov browse public --port 8001",
)
@path_argument("out_folder")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=BROWSE_PORT, show_default=True, help=both("端口。", "Port.")
)
@click.option(
    "--prefix",
    default="/",
    show_default=True,
    help=both(
        "前面的网站服务器把它放在哪个目录下，如 /gongkai/（转发时要去掉）。",
        "The path under which a web server before it shows it, such as /gongkai/ (and which that server strips).",
    ),
)
def browse(out: Output, out_folder: Path, port: int, prefix: str) -> None:
    from syncgov.publish import browse as browser

    def ready(taken: int) -> None:
        url = f"http://{browser.HOST}:{taken}"
        out.line(f"网站 {url}/portal/index.html", f"portal {url}/portal/index.html")
        out.line(f"数据 {url}/public（Ctrl-C 停止）", f"data {url}/public (Ctrl-C stops)")
        out.result({"portal": f"{url}/portal/index.html", "data": f"{url}/public", "pid": os.getpid()})

    with until_stopped():
        browser.browse(out_folder, port, prefix, ready=ready)


@command(
    root,
    ("只凭公开文件夹和章程，重新核对一切。", "Check everything again from the public folder alone."),
    "syncgov audit public --charter charter.json",
)
@path_argument("out_folder")
@path_option("--charter", zh="自己保存的章程。", en="The charter that you hold from elsewhere.")
@path_option("--since", zh="以前见过的检查点：日志须是它的延续。", en="An earlier checkpoint that the log must extend.")
@path_option(
    "--replica", zh="自己的副本：日志须与它见过的一致。", en="A replica of yours that the log must agree with."
)
def audit(out: Output, out_folder: Path, charter: Path | None, since: Path | None, replica: Path | None) -> None:
    from syncgov.audit import audit as auditor

    earlier = None if since is None else str(since)
    done = auditor.audit(out_folder, charter, since=earlier, replica=replica, progress=out.progress())
    _print_report(out, done)
    if not done.ok:
        leave(FOUND)


def _print_report(out: Output, done: "Report") -> None:
    tell = out.warn if out.quiet and not out.as_json else out.line  # what is wrong is told whatever the options
    for finding in done.findings[:MAX_LISTED]:
        tell(f"✗ [{finding.code}] {finding.zh}", f"✗ [{finding.code}] {finding.en}")
    if len(done.findings) > MAX_LISTED:
        rest = len(done.findings) - MAX_LISTED + done.unnamed
        tell(f"……还有 {rest} 处，用 --json 查看", f"… and {rest} more; see --json")
    for zh, en in done.notes:
        out.line(f"说明：{zh}", f"note: {en}")
    for zh, en in done.skipped:
        out.line(f"没有核对：{zh}", f"not checked: {en}")
    for name, count in sorted(done.counts.items()):
        out.text(f"  {name} {count}")
    for (kind, reason), count in sorted(Counter((kind, reason) for kind, reason, _path in done.hidden).items()):
        zh = "已删除" if kind == "erased" else "不予公开"
        out.line(f"  {zh}（{reason}）{count} 处", f"  {kind} ({reason}): {count}")
    for _kind, _reason, path in [each for each in done.hidden if each[0] == "erased"][:MAX_LISTED]:
        out.line(f"    已删除 {path}", f"    erased {path}")
    for name, count in sorted(done.declared.items()):
        out.line(f"  由中心声明 {name} {count}", f"  declared by the centre: {name} {count}")
    number = len(done.findings) + done.unnamed
    if done.ok:
        out.line("核对通过，没有发现问题", "everything holds")
    else:
        tell(f"发现 {number} 处问题", f"{number} things are wrong")
    out.result(
        {
            "ok": done.ok,
            "findings": done.findings,
            "counts": done.counts,
            "declared": done.declared,
            "notes": [say(*sentence) for sentence in done.notes],
            "hidden": [{"kind": kind, "reason": reason, "path": path} for kind, reason, path in done.hidden],
            "skipped": [say(*sentence) for sentence in done.skipped],
            "unnamed": done.unnamed,
        }
    )


@command(
    root,
    ("把一条记录的证明写进一个文件。", "Write one record's proof to one file."),
    "syncgov prove public event 0197f0a2-7c1e-7d52-9a77-0c5a3f0e9b11 -o proof.json",
)
@path_argument("out_folder")
@click.argument("table")
@click.argument("key")
@path_option("-o", "--output", zh="写到这个文件；默认标准输出。", en="File to write; default: standard output.")
def prove(out: Output, out_folder: Path, table: str, key: str, output: Path | None) -> None:
    from syncgov.audit.prove import prove as make_proof

    proof = make_proof(out_folder, table, key)
    if output is None:
        click.echo(proof, nl=False)
        return
    write_atomic(output, proof)
    out.line(f"证明已写入 {output}（{len(proof)} 字节）", f"wrote {output} ({len(proof)} bytes)")
    out.result({"table": table, "key": key, "file": str(output), "bytes": len(proof)})


@command(
    root,
    (
        "离线核验一条记录的证明；或核对公示栏上的校验码（--hash）。",
        "Check one record's proof, offline; or the hash on a notice-board sheet (--hash).",
    ),
    "syncgov verify proof.json --charter charter.json",
    "syncgov verify --hash C541-E895-… public",
)
@path_argument("proof")
@click.option(
    "--hash",
    "typed",
    metavar="HASH",
    help=both("公示栏上的校验码；PROOF 处写公开文件夹。", "The hash on a sheet; PROOF is then the public folder."),
)
@path_option("--charter", zh="自己保存的章程。", en="The charter that you hold from elsewhere.")
def verify(out: Output, proof: Path, typed: str | None, charter: Path | None) -> None:
    from syncgov.audit.prove import verify_proof_file

    if typed is not None:
        _verify_hash(out, proof, typed, charter)
        return
    try:
        found = verify_proof_file(proof, charter)
    except (CommitmentError, LogError, SignatureError, NotAllowedError, AuditError) as error:
        # the file can be read, and what it says does not hold
        out.problem(error)
        out.result({"verified": False, "problem": error_words(error)})
        leave(FOUND)
    out.line(f"验证通过：{found.charter.name} {found.table} {found.key}", f"verified: {found.table} {found.key}")
    for field in found.fields:
        _print_field(out, found, field)
    for hidden in found.hidden:
        what, english = ("已删除", "erased") if hidden.erased else ("不予公开", "withheld")
        out.line(
            f"  {hidden.table} {hidden.key} {hidden.field}：{what}（{hidden.reason}）",
            f"  {hidden.table} {hidden.key} {hidden.field}: {english} ({hidden.reason})",
        )
    _print_sentences(out, ("已证明", "proven"), found.proven)
    _print_sentences(out, ("没有证明", "not proven"), found.not_proven)
    out.result(_proof_json(found))


def _verify_hash(out: Output, folder: Path, typed: str, charter: Path | None) -> None:
    """Look for a typed hash in the log of a published folder."""
    from syncgov.audit.typed_hash import find_hash

    try:
        found = find_hash(folder, typed, charter)
    except AuditError as error:
        out.problem(error)
        out.result({"verified": False, "problem": error_words(error)})
        leave(FOUND)
    out.line(
        f"校验码相符：{found.name}，那时日志 {found.size} 条，现在 {found.now} 条，那时的记录一条不少、一字未改",
        f"the hash holds: {found.name}, log of {found.size} entries then, {found.now} now, the earlier ones unchanged",
    )
    if charter is None:
        out.line(
            "没有核对：章程是不是真的（用 --charter 给出自己保存的章程）", "not checked: the charter (see --charter)"
        )
    out.result({"verified": True, "name": found.name, "origin": found.origin, "size": found.size, "now": found.now})


def _print_field(out: Output, found: "RecordProof", field: "ProvenField") -> None:
    if field.field.startswith("_"):
        return
    name = field.field if (field.table, field.key) == found.rows[0] else f"{field.table} {field.key} {field.field}"
    for write in field.writes:
        mark = say("（冲突）", " (conflict)") if field.conflict else ""
        out.line(
            f"  {name} = {one_line(write.value)}{mark}  终端 {write.dev[:SHORT_KEY]}  {time_words(write.at)}",
            f"  {name} = {one_line(write.value)}{mark}  device {write.dev[:SHORT_KEY]}  {time_words(write.at)}",
        )


def _print_sentences(out: Output, head: tuple[str, str], sentences: tuple[tuple[str, str], ...]) -> None:
    for zh, en in sentences:
        out.line(f"{head[0]}：{zh}", f"{head[1]}: {en}")


def _proof_json(found: "RecordProof") -> dict[str, Any]:
    return {
        "verified": True,
        "table": found.table,
        "key": found.key,
        "rows": found.rows,
        "origin": found.charter.origin,
        "size": found.checkpoint.size,
        "fields": found.fields,
        "hidden": found.hidden,
        "authors": found.authors,
        "proven": [say(*sentence) for sentence in found.proven],
        "not_proven": [say(*sentence) for sentence in found.not_proven],
    }


@command(
    root,
    (
        "打印公示栏：每个社区一页，有数字、公开事项、电话和校验码。",
        "Print notice-board sheets, one for each community.",
    ),
    "syncgov sheet public sheets --month 2026-10 --paper A3 --pdf",
)
@path_argument("out_folder")
@path_argument("sheets")
@click.option(
    "--month", metavar="YYYY-MM", default="", help=both("哪个月；默认最近一个月。", "Which month; default: newest.")
)
@click.option(
    "--community", metavar="CODE", default="", help=both("社区代码；默认全部。", "One community; default: all.")
)
@click.option(
    "--paper", type=click.Choice(["A4", "A3"]), default="A4", show_default=True, help=both("纸张。", "Paper.")
)
@click.option(
    "--address", metavar="URL", default="", help=both("网站的网址，印成二维码。", "The site's address, as QR code.")
)
@click.option(
    "--pdf", is_flag=True, help=both("再用本机的浏览器生成 PDF。", "Make PDF too, by this machine's browser.")
)
def sheet(out: Output, out_folder: Path, sheets: Path, pdf: bool, **choices: str) -> None:
    from syncgov.publish.sheets import print_sheets

    done = print_sheets(out_folder, sheets, choices, pdf=pdf)
    for path in done.files:
        out.line(f"已写入 {path}", f"wrote {path}")
    for note in done.notes:
        out.warn(*note)
    out.result({"files": [str(path) for path in done.files], "notes": [say(*note) for note in done.notes]})


@command(
    root,
    (
        "完整的故事：一个街道的一年，公开，审计，浏览。",
        "The whole story: a street's year, published, audited, browsed.",
    ),
    "syncgov demo ./demo-data",
    "syncgov demo ./demo-data --seed 7 --events 200 --closed 150",
)
@path_argument("folder")
@click.option("--place", default="tianshuijun", show_default=True, help=both("哪个街道。", "Which street."))
@click.option("--seed", type=int, default=1, show_default=True, help=both("随机种子。", "Seed."))
@click.option(
    "--events", type=int, default=DEMO_EVENTS, show_default=True, help=both("上报几件。", "How many are reported.")
)
@click.option(
    "--closed", type=int, default=DEMO_CLOSED, show_default=True, help=both("办结几件。", "How many are closed.")
)
def demo(out: Output, folder: Path, place: str, seed: int, events: int, closed: int) -> None:
    from syncgov.demo.run import run_demo
    from syncgov.demo.summary import format_summary, summarise

    ran = run_demo(folder, place=place, seed=seed, events=events, closed=closed, progress=out.progress())
    found = summarise(ran)
    out.text(format_summary(found))
    out.result(found)
    if ran.audit_exit:
        out.warn(ran.audit_text, ran.audit_text)
        leave(FOUND)
    if sys.stdout.isatty() and not (out.as_json or out.quiet):
        os.execv(sys.executable, [sys.executable, "-m", "syncgov", "browse", str(ran.public)])
    out.text(f"syncgov browse {ran.public}")
