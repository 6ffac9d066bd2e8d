"""The command line: parse, call one function, print, exit code. Only here something prints or exits.

Arguments and results are documented by `syncgov COMMAND --help`.
"""

import sys

from syncgov.cli import bundle, centre, field, public, registers
from syncgov.cli.app import EXIT_CODES, root

__all__ = ["EXIT_CODES", "bundle", "centre", "field", "main", "public", "registers", "root"]

_DAY = (
    "init load enrol serve join commit sync bundle receive status conflicts publish browse audit prove verify import "
    "register demo"
).split()
root.commands = {name: root.commands[name] for name in _DAY}


def main() -> None:
    """Run the command in `sys.argv` and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a sign that a terminal cannot show must not end a sync
    root(prog_name="syncgov")
