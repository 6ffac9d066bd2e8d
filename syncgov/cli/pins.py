"""PINs at the command line: asked for, or read from a file or standard input; never an argument."""

import sys
from collections.abc import Callable
from pathlib import Path

import click

from syncgov.cli.words import both, say
from syncgov.errors import InputError
from syncgov.storage import cosigning
from syncgov.storage.replica import Replica

MAX_PIN_FILE_BYTES = 4096  # a line


def pin_file_option(name: str, zh: str, en: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return an option that names the file of a PIN; `-` is standard input, one line."""
    return click.option(
        name, metavar="FILE", help=both(f"{zh}；- 表示标准输入的一行。", f"{en}; - is a line of stdin.")
    )


def second_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add `--second ID` and `--pin-file FILE`."""
    who = both("第二签名人：人员编号，会要求输入其 PIN。", "Who signs as the second person; the PIN is asked for.")
    pin = pin_file_option("--pin-file", "从文件读第二签名人的 PIN", "Read the second person's PIN from a file")
    return click.option("--second", metavar="ID", help=who)(pin(function))


def bring_second(replica: Replica, person: str | None, pin_file: str | None) -> None:
    """Unlock the second person's key, if one was named, for what this command signs.

    Raises:
        NotAllowedError: no key here. PinError: a wrong PIN.
    """
    if person is None:
        if pin_file is not None:
            raise click.UsageError(say("--pin-file 要和 --second 一起用", "--pin-file needs --second"))
        return
    cosigning.key_of(replica, person)  # before anybody types
    replica.second = cosigning.unlock(replica, person, read_pin(pin_file, f"{person} PIN"))


def read_pin(file: str | None, prompt: str, *, twice: bool = False) -> str:
    """Return a PIN from a file, a line of standard input (`-`), or the keyboard, unseen.

    Raises:
        InputError: the file cannot be read.
    """
    if file == "-":
        return sys.stdin.readline().rstrip("\r\n")
    if file is not None:
        try:
            with Path(file).open(encoding="utf-8") as opened:
                return opened.readline(MAX_PIN_FILE_BYTES).rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"无法读取 PIN 文件 {file}", f"cannot read the PIN file {file}") from error
    again = say("再输一次", "again")
    return str(click.prompt(prompt, hide_input=True, confirmation_prompt=again if twice else False, err=True))
