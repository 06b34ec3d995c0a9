"""The figures of a report, each as SVG. Names of columns stand in the page around them, where all letters are shown."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray
from scipy import stats

from flowcli.evaluation.metrics.coverage import Coverage
from flowcli.evaluation.metrics.rivals import Rival
from flowcli.evaluation.metrics.two_sample import TwoSample
from flowcli.evaluation.report.drawing import DRAWS, FAINT, INK, ROWS, drawing

Rows = NDArray[np.float64]

STEPS = 200
BARS = 20
MOST_BINS = 40
OUTSIDE = 0.005  # of rows and draws at either end, which a histogram leaves out
SMALL = 1.9, 1.35  # inches of a figure of which there are many
POINTS = 800  # of a scatter


def coverage_curve(coverage: Coverage, draws: int | None) -> str:
    """Return the share of rows in each region over its share of the model, with what is usual for a right model."""
    levels = np.linspace(0.5 / STEPS, 1 - 0.5 / STEPS, STEPS)
    inside = np.array([(coverage.ranks >= 1 - level).mean() for level in levels])
    count = len(coverage.ranks)
    if draws is None:
        low, high = (stats.binom.ppf(tail, count, levels) / count for tail in (0.025, 0.975))
    else:
        below = np.clip(np.round((1 - levels) * (draws + 1)), 1, draws)
        low, high = (stats.betabinom.ppf(tail, count, draws + 1 - below, below) / count for tail in (0.025, 0.975))
    with drawing(4.2, 3.4) as drawn:
        axes = drawn.axes
        axes.fill_between(levels, low, high, color=FAINT, alpha=0.5, linewidth=0)
        axes.plot(levels, inside, color=ROWS, linewidth=1.8)
        for region in coverage.regions:
            bar = [[max(0.0, region.inside - region.low)], [max(0.0, region.high - region.inside)]]
            axes.errorbar(region.level, region.inside, bar, color=ROWS, fmt="o", markersize=4, linewidth=1.2)
        axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="share of the model in the region", ylabel="share of the rows")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0))
        return drawn.svg("coverage", "share of rows in each of the regions of the model")


def gains(rivals: tuple[Rival, ...]) -> str:
    """Return how many nats the model has more than each simple one, with two standard errors."""
    with drawing(4.2, 0.7 + 0.42 * len(rivals)) as drawn:
        axes = drawn.axes
        for index, each in enumerate(rivals):
            axes.errorbar(each.gain.mean, -index, xerr=2 * each.gain.error, color=DRAWS, fmt="o", capsize=3)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_yticks([-index for index in range(len(rivals))], [str(index + 1) for index in range(len(rivals))])
        axes.set_ylim(-len(rivals) + 0.4, 0.6)
        axes.set_xlabel("nats a row that the model has more")
        return drawn.svg("gains", "nats that the model has more than each simple model")


def rank_histogram(ranks: Rows, name: str, draws: int | None) -> str:
    """Return how a column's rows lie among draws: even bars for a right model, within the band for most of them."""
    ranks = ranks[~np.isnan(ranks)]
    count = len(ranks)
    bars = BARS if count >= 10 * BARS else max(2, count // 10)
    heights = np.histogram(ranks, bars, (0, 1))[0] / max(count, 1) * bars
    # Of draws that all rows share, so that few of them move the bars too.
    effective = count if draws is None else count * draws / (count + draws)
    scale = 1.96 * np.sqrt((bars - 1) / max(effective, 1))
    with drawing(*SMALL) as drawn:
        axes = drawn.axes
        axes.axhspan(max(0.0, 1 - scale), 1 + scale, color=FAINT, alpha=0.5, linewidth=0)
        axes.bar((np.arange(bars) + 0.5) / bars, heights, 0.86 / bars, color=ROWS)
        axes.set(xlim=(0, 1), ylim=(0, max(2.0, heights.max() * 1.05)), yticks=[])
        axes.set_xlabel("rank among draws")
        axes.set_xticks([0, 0.5, 1])
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.spines["left"].set_visible(False)
        return drawn.svg(name, "histogram of the ranks of rows among draws")


def values_histogram(rows: Rows, draws: Rows, name: str) -> str:
    """Return a column's numbers, of rows as bars and of draws as a line, without the furthest at either end."""
    rows, draws = (each[~np.isnan(each)] for each in (rows, draws))
    both = np.concatenate([rows, draws])
    low, high = np.quantile(both, [OUTSIDE, 1 - OUTSIDE]) if len(both) else (0.0, 1.0)
    if not high > low:
        low, high = low - 0.5, high + 0.5
    edges = _edges(both, float(low), float(high), len(rows))
    with drawing(*SMALL) as drawn:
        axes = drawn.axes
        shares = [
            np.histogram(each, edges)[0] / max(len(each), 1) / np.diff(edges) * (high - low) for each in (rows, draws)
        ]
        axes.stairs(shares[0], edges, fill=True, color=ROWS, alpha=0.45)
        axes.stairs(shares[1], edges, color=DRAWS, linewidth=1.6, baseline=None)
        axes.set(xlim=(edges[0], edges[-1]), yticks=[], xlabel="value")
        axes.set_ylim(0, None)
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.spines["left"].set_visible(False)
        return drawn.svg(name, "histogram of rows, and of draws")


def scatter(rows: Rows, draws: Rows, name: str) -> str:
    """Two columns against each other, (N, 2): rows as dots and draws as dots of another colour."""
    present = [each[~np.isnan(each).any(axis=1)][:POINTS] for each in (rows, draws)]
    with drawing(4.2, 3.4) as drawn:
        for each, colour in zip(present, (ROWS, DRAWS), strict=True):
            drawn.axes.plot(*each.T, ".", color=colour, markersize=3, alpha=0.6, markeredgewidth=0)
        for axis in (drawn.axes.xaxis, drawn.axes.yaxis):
            axis.set_major_locator(MaxNLocator(5))
        for set_limits, column in ((drawn.axes.set_xlim, 0), (drawn.axes.set_ylim, 1)):
            both = np.concatenate([each[:, column] for each in present])
            if len(both):
                low, high = np.quantile(both, [OUTSIDE, 1 - OUTSIDE])
                margin = 0.05 * (high - low) or 0.5
                set_limits(low - margin, high + margin)
        return drawn.svg(name, "dots for rows and draws in two columns")


def odds(test: TwoSample) -> str:
    """Return what the classifier takes rows and draws for: two heaps that coincide for a right model."""
    chances = [1 / (1 + np.exp(-each)) for each in test.odds]
    edges = np.linspace(0, 1, 41)
    with drawing(4.2, 2.4) as drawn:
        axes = drawn.axes
        shares = [np.histogram(each, edges)[0] / len(each) for each in chances]
        axes.stairs(shares[0], edges, fill=True, color=ROWS, alpha=0.45)
        axes.stairs(shares[1], edges, color=DRAWS, linewidth=1.6, baseline=None)
        axes.set(xlim=(0, 1), yticks=[], xlabel="chance of being a row, says the classifier")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.spines["left"].set_visible(False)
        return drawn.svg("odds", "histogram of the classifier's chances, of rows and of draws")


def _edges(both: Rows, low: float, high: float, rows: int) -> Rows:
    """Edges of bins: around each value of few, else evenly spread."""
    values = np.unique(both[(both >= low) & (both <= high)])
    if 1 < len(values) <= MOST_BINS:
        middles = (values[1:] + values[:-1]) / 2
        return np.concatenate([[2 * values[0] - middles[0]], middles, [2 * values[-1] - middles[-1]]])
    bins = int(np.clip(2 * rows ** (1 / 3), 5, MOST_BINS))
    return np.linspace(low, high, bins + 1)
