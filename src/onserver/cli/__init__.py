"""The command line: one file a noun, each loaded when its verb is used, so that `onserver version` is there at once."""

from onserver.cli.command import main

__all__ = ["main"]
