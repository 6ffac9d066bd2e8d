"""The centre: intake, verdicts, serving. Nothing is signed or served before its second copy is on disk."""
