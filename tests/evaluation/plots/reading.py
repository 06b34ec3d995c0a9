"""What stands on a picture: its words, where they are, and whether a person could read them."""

from __future__ import annotations

import itertools

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from flowcli.evaluation.plots import words

SLACK = 1.0  # pixels that boxes around words may share


def boxes(figure):
    """Each visible text, with the box around its ink, in pixels."""
    canvas = FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    renderer = canvas.get_renderer()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in texts]


def assert_readable(figure):
    """No words are cut off by the edge of the picture, and none lie upon others."""
    found = boxes(figure)
    width, height = figure.bbox.size
    assert found
    for text, box in found:
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
        assert inside, f"{text!r} is cut off: {box} of {width} x {height}"
    ends = np.array([box.extents for _, box in found])
    across = np.minimum(ends[:, None, 2], ends[None, :, 2]) - np.maximum(ends[:, None, 0], ends[None, :, 0])
    up = np.minimum(ends[:, None, 3], ends[None, :, 3]) - np.maximum(ends[:, None, 1], ends[None, :, 1])
    shared = np.minimum(across, up)
    for i, j in itertools.combinations(range(len(found)), 2):
        assert shared[i, j] <= SLACK, f"{found[i][0]!r} lies upon {found[j][0]!r}"


def texts(figure):
    """All words of a picture."""
    return [text.replace("\\$", "$") for text, _ in boxes(figure)]


def said(figure):
    """All of them as one text, as if lines had not been broken."""
    return " ".join(texts(figure))


def panel_of(figure, name):
    """The panel with that name above it."""
    (found,) = [axes for axes in figure.axes if any(t.get_text() == words.drawable(name) for t in named(axes))]
    return found


def named(axes):
    """What is written above a panel in bold."""
    return [text for text in axes.texts if text.get_weight() == "bold"]
