"""Figures as SVG that takes its colours from the page, so that it is readable in light and in dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Colours that stand for the page's, which are named in its style sheet.
INK, FAINT, ROWS, DRAWS = "#010101", "#020202", "#030303", "#040404"
NAMES = {INK: "var(--ink)", FAINT: "var(--faint)", ROWS: "var(--rows)", DRAWS: "var(--draws)"}

STYLE: dict[Any, Any] = {
    "font.size": 9.0,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "svg.fonttype": "path",  # the letters themselves: a page has other fonts, which are wider
    "axes.unicode_minus": True,
}


class Drawing:
    """A figure with one pair of axes, to be drawn on and then turned into SVG.

    Attributes:
        axes: What is drawn on.
    """

    def __init__(self, width: float, height: float) -> None:
        self._figure = Figure(figsize=(width, height), layout="constrained")
        self.axes: Axes = self._figure.add_subplot()

    def svg(self, name: str, description: str) -> str:
        """Return the figure as an element of HTML.

        Args:
            name: Of letters and digits, no two alike on a page.
            description: What there is to be seen, for those who hear the page; as HTML.
        """
        file = io.StringIO()
        with mpl.rc_context({"svg.hashsalt": name}):
            self._figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        text = file.getvalue()
        text = text[text.index("<svg") :]
        text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
        size = re.search(r'viewBox="[^"]*"', text)
        assert size is not None
        head = f'<svg {size[0]} role="img" aria-label="{description}" xmlns:xlink="http://www.w3.org/1999/xlink">'
        text = head + text[text.index(">") + 1 :]
        # Letters are defined anew in each figure, and names hold for a whole page.
        text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", text)
        for colour, word in NAMES.items():
            text = text.replace(colour, word)
        return text.strip()


@contextmanager
def drawing(width: float, height: float) -> Iterator[Drawing]:
    """Yield a drawing of so many inches in the style of the report."""
    with mpl.rc_context(STYLE):
        yield Drawing(width, height)
