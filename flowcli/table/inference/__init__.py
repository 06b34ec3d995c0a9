"""What the columns of a table are, found from their values."""

from __future__ import annotations
