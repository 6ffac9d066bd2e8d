"""What the demo prints at its end; every figure is read from public.db by SQL."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from syncgov.demo.run import Ran

_MAIN = ("event_reported", "event_closed", "event_closed_rate", "event_not_closed", "event_void")


def summarise(ran: Ran) -> dict[str, Any]:
    """Return the summary as JSON values. Keys are stable.

    `figures` maps figure ids to (label, text, unit); `refused` reasons to numbers; seconds are wall-clock.
    """
    with closing(sqlite3.connect(f"file:{ran.public / 'public.db'}?mode=ro", uri=True)) as db:
        figures = {i: [label, text, unit] for i, label, text, unit in db.execute(_FIGURES)}
        verdicts = dict(db.execute("SELECT verdict, count(*) FROM leaf GROUP BY verdict").fetchall())
        return {
            "figures": figures,
            "accepted": verdicts.pop("accepted", 0),
            "refused": {verdict.removeprefix("refused:"): n for verdict, n in sorted(verdicts.items())},
            "declared": dict(db.execute("SELECT label, value FROM declared ORDER BY name").fetchall()),
            "conflicts": db.execute(
                "SELECT count(*) FROM (SELECT DISTINCT register, key, field FROM conflict)"
            ).fetchone()[0],
            "log_size": db.execute("SELECT count(*) FROM leaf").fetchone()[0],
            "rows_published": _published_rows(db),
            "fields_withheld": db.execute("SELECT count(*) FROM withheld WHERE kind = 'withholding'").fetchone()[0],
            "fields_erased": db.execute("SELECT count(*) FROM withheld WHERE kind = 'erasure'").fetchone()[0],
            "as_of": db.execute("SELECT value FROM meta WHERE key = 'as_of'").fetchone()[0],
            "centres": [{"pid": pid, "requests": requests} for pid, requests in ran.centres],
            "signed": ran.tally.signed,
            "syncs": ran.tally.syncs,
            "photos": ran.tally.photos,
            "faults": _faults(ran),
            "audit_exit": ran.audit_exit,
            "audit": ran.audit_text.strip().splitlines()[-1:],
            "seconds": {name: round(seconds, 1) for name, seconds in ran.stages},
            "public": str(ran.public),
        }


def _faults(ran: Ran) -> dict[str, int]:
    """What went wrong, and what came of it, by name."""
    happened, sent = ran.happened, ran.tally.sent
    return {
        "signed_by_a_clock_in_1970": ran.tally.wrong_clock,
        "syncs_cut": sent.cut,
        "changesets_sent_again": sent.again,
        "bundles_there_and_back": sent.bundles,
        "devices_by_bundle_only": len(ran.faults.by_bundle),
        "refused_of_a_clone": happened.refused_clone,
        "refused_of_its_original": happened.refused_stopped,
        "signed_anew_after_rejoin": happened.taken_over,
        "refused_of_a_stolen_device": happened.refused_stolen,
        "adopted_by_a_supervisor": happened.adopted,
        "writes_erased": happened.erased,
        "devices_that_have_not_heard_of_it": happened.not_acknowledged,
    }


_FIGURES = "SELECT id, label, text, unit FROM figure ORDER BY register, position"


def _published_rows(db: sqlite3.Connection) -> int:
    names = [name for (name,) in db.execute("SELECT name FROM register ORDER BY name")]
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return sum(
        db.execute(f'SELECT count(*) FROM "{n}"').fetchone()[0] for n in names if n in tables and n != "register"
    )


def format_summary(found: dict[str, Any]) -> str:
    """Return the summary for people, in Chinese."""
    return "\n".join(_lines(found))


def _lines(found: dict[str, Any]) -> Iterator[str]:
    figures = found["figures"]
    yield f"天水郡街道（演示数据） 截至 {found['as_of']}"
    yield "  " + "  ".join(f"{figures[i][0]} {figures[i][1]}{figures[i][2]}" for i in _MAIN if i in figures)
    others = [f"{label} {text}{unit}" for i, (label, text, unit) in figures.items() if i not in _MAIN]
    for start in range(0, len(others), 6):
        yield "  " + "  ".join(others[start : start + 6])
    refused = "，".join(f"{reason} {n}" for reason, n in found["refused"].items()) or "无"
    total = sum(found["refused"].values())
    yield f"变更集：已接受 {found['accepted']}，被退回 {total}（{refused}），日志共 {found['log_size']} 条"
    declared = "，".join(f"{label} {n}" for label, n in found["declared"].items())
    yield f"冲突待裁定（公开字段）{found['conflicts']} 项；由中心声明：{declared}"
    yield f"公开 {found['rows_published']} 行，不予公开字段 {found['fields_withheld']} 个"
    for centre in found["centres"]:
        yield f"中心进程 {centre['pid']}：答复 HTTP 请求 {centre['requests']} 次"
    yield f"终端：签名 {found['signed']} 个变更集，同步 {found['syncs']} 次，照片 {found['photos']} 张"
    faults = found["faults"]
    yield (
        f"出过的事：1970 年的时钟签了 {faults['signed_by_a_clock_in_1970']} 个；断线 {faults['syncs_cut']} 次，"
        f"重复送达 {faults['changesets_sent_again']} 个；只用文件同步的终端 {faults['devices_by_bundle_only']} 台，"
        f"往返 {faults['bundles_there_and_back']} 次"
    )
    yield (
        f"　　被复制的终端：复制品退回 {faults['refused_of_a_clone']}，原机退回 {faults['refused_of_its_original']}，"
        f"重新登记后补签 {faults['signed_anew_after_rejoin']}；被盗终端：退回 {faults['refused_of_a_stolen_device']}，"
        f"网格长补签 {faults['adopted_by_a_supervisor']}"
    )
    yield (
        f"　　依法删除 {faults['writes_erased']} 处，公开页面上显示“已删除” {found['fields_erased']} 处；"
        f"尚未同步、还没有得知的终端 {faults['devices_that_have_not_heard_of_it']} 台"
    )
    yield f"审计：{'通过' if found['audit_exit'] == 0 else '发现问题'} {''.join(found['audit'])}"
    yield "用时（秒）：" + "，".join(f"{name} {seconds}" for name, seconds in found["seconds"].items())
