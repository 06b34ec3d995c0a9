"""Hand-written gradients of the hottest arithmetic, each beside the plain formula that tests compare it with."""

from __future__ import annotations
