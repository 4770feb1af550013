"""The one error that is the command line's own."""

from __future__ import annotations


class UsageError(Exception):
    """The command line cannot be understood."""
