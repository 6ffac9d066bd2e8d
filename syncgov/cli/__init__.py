"""The command line: parse, call one function, print, exit code. Only here something prints or exits.

Arguments and results are documented by `syncgov COMMAND --help`.
"""

import sys

from syncgov.cli import (
    attach,
    bundle,
    centre,
    certificates,
    field,
    fsck,
    hiding,
    persons,
    public,
    registers,
    resolve,
    restoring,
    review,
)
from syncgov.cli.app import EXIT_CODES, root

__all__ = [
    "EXIT_CODES",
    "attach",
    "bundle",
    "centre",
    "certificates",
    "field",
    "fsck",
    "hiding",
    "main",
    "persons",
    "public",
    "registers",
    "resolve",
    "restoring",
    "review",
    "root",
]

_DAY = (
    "init load enrol revoke renew charter staff serve backup restore close-log "
    "join attach commit sync bundle receive status conflicts resolve resubmit adopt rejoin "
    "review publish browse audit prove verify sheet erase withhold fsck import "
    "register demo"
).split()
root.commands = {name: root.commands[name] for name in _DAY}


def main() -> None:
    """Run the command in `sys.argv` and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a sign that a terminal cannot show must not end a sync
    root(prog_name="syncgov")
