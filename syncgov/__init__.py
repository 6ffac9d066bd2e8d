"""Registers that are written offline, signed, merged, and verifiable by everybody.

This module holds the public names and nothing else.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
