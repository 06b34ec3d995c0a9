"""Held-out nats over seconds, a panel a set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.ticker import NullFormatter

from benchmarks.quality import methods

Curve = list[tuple[float, float]]
COLOURS = {
    methods.AUTO: "#d62728",
    "zuko": "#1f77b4",
    "nflows": "#2ca02c",
    "flowjax": "#9467bd",
    "pzflow": "#8c564b",
    "Gaussian mixture": "#7f7f7f",
    "kernels": "#bcbd22",
}
ACROSS = 4


def draw(curves: Mapping[str, Mapping[str, Curve]], file: Path) -> None:
    """Draw the curves of auto and its peers for each set."""
    down = math.ceil(len(curves) / ACROSS)
    figure, axes = plt.subplots(down, ACROSS, figsize=(3.4 * ACROSS, 2.6 * down), squeeze=False, layout="constrained")
    handles = {}
    for axis, (name, of) in zip(axes.flat, curves.items(), strict=False):
        ends = [curve[-1][1] for how, curve in of.items() if how in COLOURS and curve]
        for how, curve in of.items():
            if how not in COLOURS or not curve:
                continue
            seconds, nats = zip(*curve, strict=True)
            style = {"marker": "o", "linestyle": "none"} if len(curve) == 1 else {"drawstyle": "steps-post"}
            (handles[how],) = axis.plot(
                [max(each, 0.1) for each in seconds],
                nats,
                color=COLOURS[how],
                linewidth=2 if how == methods.AUTO else 1.2,
                zorder=3 if how == methods.AUTO else 2,
                markersize=4,
                **style,
            )
        axis.set_title(name, fontsize=9)
        axis.set_xscale("log")
        axis.xaxis.set_minor_formatter(NullFormatter())
        # Of the worst only the end is of interest, and not that if it would leave the others no room.
        top, middle = max(ends), sorted(ends)[len(ends) // 2]
        room = max(top - middle, 0.05)
        axis.set_ylim(top - 2.5 * room, top + 0.2 * room)
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in list(axes.flat)[len(curves) :]:
        axis.set_visible(False)
    figure.supxlabel("seconds of fitting", fontsize=9)
    figure.supylabel("held-out nats a row", fontsize=9)
    figure.legend(
        handles.values(), handles.keys(), loc="outside upper center", ncols=len(handles), frameon=False, fontsize=9
    )
    figure.savefig(file, dpi=110)
    plt.close(figure)
