"""`python -m syncgov`."""

from syncgov.cli import main

main()
