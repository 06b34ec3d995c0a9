"""The subcommands, each in a file of its name."""

from __future__ import annotations
