"""An evaluation as one page of HTML that needs nothing beside it."""

from __future__ import annotations

from flowcli.evaluation.report.page import page

__all__ = ["page"]
