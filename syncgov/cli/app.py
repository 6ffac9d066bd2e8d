"""The `syncgov` command: exit codes, errors, and what every command has in common."""

import functools
import json
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from syncgov import __version__, errors
from syncgov.cli.words import Context, both, error_words, say, usage_words
from syncgov.storage.connection import translate
from syncgov.storage.wording import json_visible, visible

DONE, FOUND, USAGE, BAD_INPUT, UNREACHABLE, STORAGE, NOT_ALLOWED, INTERRUPTED = 0, 1, 2, 65, 69, 74, 77, 130

EXTRAS = frozenset({"starlette", "uvicorn", "datasette", "mkdocs", "material"})  # a field device has none

# error -> exit code; the first class that fits counts
EXIT_CODES: tuple[tuple[type[errors.SyncgovError], int], ...] = (
    (errors.FormatError, BAD_INPUT),
    (errors.InputError, BAD_INPUT),
    (errors.RegisterError, BAD_INPUT),
    (errors.LogError, BAD_INPUT),
    (errors.AuditError, FOUND),
    (errors.TransportError, UNREACHABLE),
    (errors.StorageError, STORAGE),
    (errors.SignatureError, NOT_ALLOWED),
    (errors.NotAllowedError, NOT_ALLOWED),
    (errors.SyncgovError, BAD_INPUT),
)


def exit_code(error: errors.SyncgovError) -> int:
    """Return the exit code of an error. What a centre answered is judged by its HTTP status."""
    if isinstance(error, errors.RemoteError):
        if error.status in (401, 403):
            return NOT_ALLOWED
        return UNREACHABLE if error.status >= 500 else BAD_INPUT
    return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


class Output:
    """Where a command's results go: lines for people, or one JSON object; nothing but errors with `quiet`."""

    def __init__(self, as_json: bool, quiet: bool) -> None:
        self.as_json = as_json
        self.quiet = quiet

    def line(self, zh: str, en: str) -> None:
        """Print a line for people."""
        if not (self.as_json or self.quiet):
            click.echo(visible(say(zh, en)))

    def text(self, line: str) -> None:
        """Print a line for people that is the same in both languages, or already chosen."""
        self.line(line, line)

    def data(self, text: str) -> None:
        """Print a line that is the result itself, also with `quiet`."""
        if not self.as_json:
            click.echo(visible(text))

    def result(self, value: Any) -> None:
        """Print the result for machines; dataclasses become objects."""
        if self.as_json:
            plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
            click.echo(json_visible(json.dumps(plain, ensure_ascii=False, default=_plain)))

    def warn(self, zh: str, en: str) -> None:
        """Print a line to standard error, whatever the options."""
        click.echo(visible(say(zh, en)), err=True)

    def problem(self, error: errors.SyncgovError) -> None:
        """Print an error that does not end the command."""
        click.echo(visible(error_words(error)), err=True)

    def progress(self) -> Callable[[str, int, int], None] | None:
        """Return what shows progress on a terminal, else None."""
        return None if self.quiet or not sys.stderr.isatty() else _show_progress


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"not for JSON: {type(value).__name__}")


# stages of long work -> what people read; one that is not here is shown as it is called
_STEPS = {
    "push": ("上传", "sending"),
    "pull": ("下载", "receiving"),
    "files": ("附件", "files"),
    "load": ("载入", "loading"),
    "join": ("终端登记", "enrolling"),
    "days": ("一年的工作（天）", "days of work"),
    "last day": ("最后一天", "the last day"),
    "detect": ("检查个人信息", "looking for personal data"),
    "disclose": ("公开内容", "disclosed writes"),
    "tables": ("公开库", "public database"),
    "public_db": ("公开库", "public database"),
    "data": ("数据文件", "data files"),
    "fold": ("折叠", "folding"),
    "proofs": ("证明", "proofs"),
    "portal": ("网站", "portal"),
    "signatures": ("核对签名", "signatures"),
    "verdicts": ("核对裁定", "verdicts"),
}


def _show_progress(step: str, done: int, total: int) -> None:
    """Write over the line of the terminal; end it when the stage is done."""
    if step == "busy":  # seconds until the next try, and how many there were
        zh, en = (
            f"中心正忙，{done} 秒后自动再试（已试 {total} 次）",
            f"the centre is busy; next try in {done} s ({total} so far)",
        )
        click.echo(f"\r\x1b[2K{say(zh, en)}", err=True)
        return
    text = f"\r\x1b[2K{say(*_STEPS.get(step, (step, step)))} {done}/{total}"
    click.echo(text, err=True, nl=done >= total)


class Command(click.Command):
    """A command with help in two languages."""

    context_class = Context


class Group(click.Group):
    """A group with help in two languages, whose commands keep the order in which they were added."""

    context_class = Context
    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of a day's work, not of the alphabet."""
        return list(self.commands)


class Root(Group):
    """The group that turns every error into a sentence and an exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run, and leave with the exit code."""
        try:
            sys.exit(super().main(args, prog_name, complete_var, standalone_mode=False, **extra) or DONE)
        except errors.SyncgovError as error:
            _leave(error_words(error), exit_code(error))
        except sqlite3.Error as error:
            _leave(error_words(translate(error)), STORAGE)
        except click.UsageError as error:
            if error.ctx is not None and not isinstance(error, click.exceptions.NoArgsIsHelpError):
                click.echo(error.ctx.get_usage(), err=True)
            _leave(usage_words(error), USAGE)
        except click.ClickException as error:
            _leave(error.format_message(), error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            _leave(say("已中断", "interrupted"), INTERRUPTED)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] not in EXTRAS:
                raise
            _leave(
                say(
                    f"缺少 {error.name}：这条命令要装 pip install 'syncgov[centre,publish]'",
                    f"{error.name} is missing: this command needs pip install 'syncgov[centre,publish]'",
                ),
                UNREACHABLE,
            )
        except OSError as error:
            place = f"{error.filename}：" if error.filename else ""
            _leave(say(f"{place}读写失败（{error.strerror}）", f"{place}{error.strerror or error}"), STORAGE)


def _leave(message: str, code: int) -> NoReturn:
    click.echo(visible(message), err=True)
    sys.exit(code)


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=both(
        "网格治理的离线登记、签名同步与公开核验。每条命令都有 --help（带例子）和 --json。",
        "Registers for grid governance: written offline, signed, merged, publicly verifiable. Every command has --help "
        "with an example, and --json.",
    ),
)
@click.version_option(__version__, prog_name="syncgov")
def root() -> None:
    """The root of all commands."""


Function = Callable[..., None]


def command(group: click.Group, texts: tuple[str, str], *examples: str) -> Callable[[Function], click.Command]:
    """Add a function to *group* as the command of its name (a trailing underscore is cut off).

    Args:
        texts: what it does, in Chinese and English.
        examples: command lines for the help page.
    """

    def add(function: Function) -> click.Command:
        @functools.wraps(function)
        def run(as_json: bool, quiet: bool, **values: Any) -> None:
            function(Output(as_json, quiet), **values)

        made = click.command(
            function.__name__.rstrip("_").replace("_", "-"),
            cls=Command,
            help=both(*texts),
            short_help=both(*texts),
            epilog="\b\n" + both("例子：", "Example:") + "".join(f"\n  {example}" for example in examples),
        )(_output_options(run))
        group.add_command(made)
        return made

    return add


def _output_options(function: Function) -> Function:
    json_option = click.option("--json", "as_json", is_flag=True, help=both("输出 JSON。", "Print JSON."))
    quiet = click.option("-q", "--quiet", is_flag=True, help=both("只报错误。", "Print errors only."))
    # options are listed in reverse order of decoration: these come last, after the command's own
    parameters: list[click.Parameter] = list(getattr(function, "__click_params__", ()))
    function.__click_params__ = []  # type: ignore[attr-defined]
    quiet(json_option(function))
    function.__click_params__ += parameters  # type: ignore[attr-defined]
    return function


def path_argument(name: str) -> Callable[[Function], Function]:
    """Return an argument that is a path; whether it is there is said by whoever opens it."""
    return click.argument(name, type=click.Path(path_type=Path))


def path_option(*names: str, zh: str, en: str, **settings: Any) -> Callable[[Function], Function]:
    """Return an option that is a path."""
    return click.option(*names, type=click.Path(path_type=Path), help=both(zh, en), **settings)


def staff_option(function: Function) -> Function:
    """Add `--staff ID`."""
    text = both("谁写的：人员编号（共用终端必填）。", "Who wrote: a person's id (needed on shared devices).")
    return click.option("--staff", metavar="ID", help=text)(function)


def leave(code: int) -> NoReturn:
    """End the command with *code*."""
    click.get_current_context().exit(code)


@contextmanager
def until_stopped() -> Iterator[None]:
    """Run a server in this block; Ctrl-C and SIGTERM end it, and the command, in good order."""
    # the server restores this handler when it has shut down and then sends itself the signal once more
    signal.signal(signal.SIGTERM, _stop)
    with suppress(KeyboardInterrupt):
        yield


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def numbered(items: Sequence[str]) -> str:
    """Return items as one text for people."""
    return say("、", ", ").join(items)
