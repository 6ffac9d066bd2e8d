"""The independent check: everything that was published, again, from the published folder and the charter alone."""
