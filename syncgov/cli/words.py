"""The language of the interface: Chinese or English, by locale. Texts carry both until they are shown."""

import os
import re
from collections.abc import Iterable, Sequence

import click

from syncgov.errors import SyncgovError
from syncgov.storage.wording import Language

# A text in both languages: STX chinese US english ETX. No text of ours has these characters.
_BOTH = re.compile("\x02([^\x1f]*)\x1f([^\x03]*)\x03")
_CLICK_WORDS = {
    "Options": "选项",
    "Commands": "命令",
    "Usage: ": "用法：",
    "Show this message and exit.": "显示这页帮助。",
    "Show the version and exit.": "显示版本。",
    "[OPTIONS]": "[选项]",
    "COMMAND [ARGS]...": "命令 [参数]…",
    "[required]": "[必填]",
    "[default: ": "[默认 ",
}
_USAGE_WORDS = (
    (r"No such command ('.*?')\.", r"没有命令 \1。"),
    (r"Did you mean (.*?)\?$", r"是否指 \1？"),
    (r"is not in the range (.*?)\.?$", r"不在 \1 之内"),
    (r"Got unexpected extra arguments? \((.*)\)", r"多余的参数：\1"),
)


def language() -> Language:
    """Return the language of the locale: Chinese if it begins with `zh`, otherwise English."""
    settings = (os.environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return "zh" if next((s for s in settings if s), "").lower().startswith("zh") else "en"


def say(zh: str, en: str) -> str:
    """Return the text for the locale."""
    return zh if language() == "zh" else en


def error_words(error: SyncgovError) -> str:
    """Return the sentence of an error."""
    return say(error.zh, error.en)


def both(zh: str, en: str) -> str:
    """Return a help text that is shown in the locale's language later."""
    return f"\x02{zh}\x1f{en}\x03"


def chosen(text: str) -> str:
    """Return *text* with every double text replaced by the one for the locale."""
    index = 1 if language() == "zh" else 2
    text = _BOTH.sub(lambda found: found.group(index), text)
    if index == 1:
        for english, chinese in _CLICK_WORDS.items():
            text = text.replace(english, chinese)
    return text


class Formatter(click.HelpFormatter):
    """click's formatter, which shows each double text in the locale's language."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the usage line."""
        super().write_usage(prog, chosen(args), chosen(prefix or "Usage: "))

    def write_heading(self, heading: str) -> None:
        """Write a heading."""
        super().write_heading(chosen(heading))

    def write_text(self, text: str) -> None:
        """Write a paragraph."""
        super().write_text(chosen(text))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write a list of terms."""
        super().write_dl([(term, chosen(text)) for term, text in rows], col_max, col_spacing)


class Context(click.Context):
    """A context whose help is written by `Formatter`."""

    formatter_class = Formatter


def usage_words(error: click.UsageError) -> str:
    """Return what is wrong with a command line."""
    if language() != "zh":
        return error.format_message()
    if isinstance(error, click.MissingParameter):
        return f"缺少 {_hint(error)}"
    if isinstance(error, click.NoSuchOption):
        return f"没有选项 {error.option_name}{_instead(error.possibilities or ())}"
    if isinstance(error, click.BadParameter):
        return f"{_hint(error)} 的值不对：{_chinese(error.message)}"
    return _chinese(error.format_message())


def _chinese(text: str) -> str:
    for english, chinese in _USAGE_WORDS:
        text = re.sub(english, chinese, text)
    return text


def _hint(error: click.BadParameter) -> str:
    hint = error.param.get_error_hint(error.ctx) if error.param is not None and error.ctx is not None else ""
    return str(error.param_hint or hint)


def _instead(possibilities: Sequence[str]) -> str:
    return f"，是否指 {'、'.join(possibilities)}？" if possibilities else ""
