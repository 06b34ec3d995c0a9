"""The results as a page that says what they mean."""

from __future__ import annotations

from benchmarks.speed.cases import BATCH, BOUND, DIRECTIONS, FAMILIES, TRANSFORMS, Case
from benchmarks.speed.libraries import NAMES, OURS, PEERS, PRODUCTS
from benchmarks.speed.machine import in_words, many
from benchmarks.speed.results import Cell, Results

HEADINGS = {PRODUCTS: "products alone"}

ABOUT = {
    "training": (
        f"One step: log-density of a batch of {BATCH} rows, gradient, and an update of all weights by Adam (torch's"
        " fused AdamW, for all libraries on torch; optax.adam for flowjax). *Products alone*: three matrix products a"
        " layer, forward, for the weights and for the input."
    ),
    "scoring": (
        "Log-densities of many rows, without gradients (torch.inference_mode), each library with the number of rows at"
        " once that suits it best. *Products alone*: one matrix product a layer."
    ),
    "sampling": (
        "Drawing rows, each library by its own call and with the number of rows at once that suits it best. The"
        " autoregressive flows of zuko, nflows, normflows and flowjax run their networks once for every column."
        " *Products alone*: one matrix product a layer, as for scoring."
    ),
}


def markdown(results: Results) -> str:
    """The whole page."""
    present = [name for name in NAMES if any(name in counts for counts in results.parameters.values())]
    lines = ["# Speed, beside other libraries", "", *_introduction(results), ""]
    for direction in DIRECTIONS:
        cells = [cell for cell in results.cells if cell.direction == direction]
        if cells:
            lines += [f"## {direction.capitalize()}, rows per second", "", ABOUT[direction], ""]
            lines += [*_table(cells, present, direction), ""]
    lines += ["## The networks", ""]
    lines += [f"- {_heading(name)}: {results.networks[name]}." for name in present]
    lines += [
        "",
        "How many numbers each one trains, masked ones included; for the products, those in the matrices:",
        "",
    ]
    lines += _parameters(results.parameters, present)
    failures = _failures(results.cells)
    if failures:
        lines += ["", "## What failed", "", *failures]
    return "\n".join([*lines, ""])


def _introduction(results: Results) -> list[str]:
    settings = results.settings
    families = [f"- `{name}`: {about}" for name, about in FAMILIES.items() if name in settings["families"]]
    versions = ", ".join(f"{package} {version}" for package, version in results.versions.items())
    trial = ["**A trial: with --quick, figures mean nothing.**", ""] if settings["quick"] else []
    return [
        *trial,
        f"All flows have {TRANSFORMS} transforms whose networks have two hidden layers of 128 with ReLU, splines on"
        f" [-{BOUND:g}, {BOUND:g}], and a standard normal base; the mixture alone has one network of two residual"
        " blocks of 256. D is the number of columns. float32, on the processor.",
        "",
        *families,
        "",
        f"Figures are medians over {many(settings['rounds'], 'round')}. In each round every library takes its turn for"
        f" at least {settings['seconds']:g} s, in one process, so that a machine's moods meet all alike; a call that"
        " takes seconds has fewer rounds, three at least. Before, each flow took ten steps of training or more, and"
        " calls were warmed up, jax's compiled. Nothing runs through torch.compile.",
        "",
        "*flowcli / best* is how many times as fast flowcli is as the fastest other library, which is named. *Products"
        " alone* are the matrix products of flowcli's networks and nothing else, with dense matrices: the bound for any"
        " implementation that does not make use of the masks' zeros, and *flowcli / products* the share of it that"
        " flowcli reaches. A dash: the library lacks the family.",
        "",
        f"Machine: {in_words(results.machine)}. Versions: {versions}.",
        "",
        "Made by `python -m benchmarks.speed`; the same as numbers, every round of it, with `--json`.",
    ]


def _table(cells: list[Cell], present: list[str], direction: str) -> list[str]:
    shown = [name for name in present if any(name in cell.figures or name in cell.failures for cell in cells)]
    zuko = direction == "sampling" and "zuko" in shown
    headings = ["family", "D", *map(_heading, shown), "flowcli / best"]
    headings += ["flowcli / zuko"] * zuko + ["flowcli / products"] * (PRODUCTS in shown)
    rows = []
    for cell in cells:
        row = [f"`{cell.case.family}`", str(cell.case.columns), *(_speed(cell, name) for name in shown)]
        best = cell.ratio(cell.best_peer)
        row.append("-" if best is None else f"{_times(best)} {cell.best_peer}")
        if zuko:
            row.append(_or_dash(cell.ratio("zuko")))
        if PRODUCTS in shown:
            share = cell.ratio(PRODUCTS)
            row.append("-" if share is None else f"{share:.0%}")
        rows.append(row)
    return _grid(headings, rows)


def _parameters(parameters: dict[Case, dict[str, int]], present: list[str]) -> list[str]:
    rows = [
        [f"`{case.family}`", str(case.columns), *(f"{counts[n]:,}" if n in counts else "-" for n in present)]
        for case, counts in parameters.items()
    ]
    return _grid(["family", "D", *map(_heading, present)], rows)


def _failures(cells: list[Cell]) -> list[str]:
    return [
        f"- {name}, `{cell.case.family}` with {cell.case.columns} columns, {cell.direction}: {text}"
        for cell in cells
        for name, text in cell.failures.items()
    ]


def _grid(headings: list[str], rows: list[list[str]]) -> list[str]:
    """A table with its columns as wide as they need to be, so that it reads well on a terminal too."""
    widths = [max(3, *map(len, column)) for column in zip(headings, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    texts = [[cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in [headings, *rows]]
    for row in texts:
        row[0] = row[0].strip().ljust(widths[0])
    return [f"| {' | '.join(row)} |" for row in [texts[0], rule, *texts[1:]]]


def _speed(cell: Cell, name: str) -> str:
    if name in cell.failures:
        return "failed"
    return _digits(cell.figures[name].median) if name in cell.figures else "-"


def _digits(value: float) -> str:
    """Three digits."""
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.3g}"


def _times(ratio: float) -> str:
    return f"{ratio:.2f}x" if ratio < 10 else f"{ratio:.0f}x"


def _or_dash(ratio: float | None) -> str:
    return "-" if ratio is None else _times(ratio)


def _heading(name: str) -> str:
    return HEADINGS.get(name, name)


def line(cell: Cell) -> str:
    """A figure in one line, for those who wait."""
    speeds = " ".join(f"{name} {_speed(cell, name)}" for name in [OURS, *PEERS, PRODUCTS] if name in cell.figures)
    failed = " ".join(f"({name} failed: {text})" for name, text in cell.failures.items())
    return f"{cell.case.family} D={cell.case.columns} {cell.direction}: {speeds} {failed}".rstrip()
