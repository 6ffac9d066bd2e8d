"""Check a replica or a centre: written independently of the writer, so that one mistake is not made twice."""

from syncgov.fsck.check import Rebuild, fsck
from syncgov.fsck.report import Finding, Report

__all__ = ["Finding", "Rebuild", "Report", "fsck"]
