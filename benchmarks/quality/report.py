"""docs/quality.md and docs/quality.json, from what fits left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.quality import methods, sets
from benchmarks.quality.figure import draw
from benchmarks.quality.results import Result, read
from benchmarks.quality.small import Small, summary

SEEDS = range(10)
LEAST_TIMED = 8_000  # rows to fit: on smaller tables everybody is quick
FAR = 1e6  # nats; a peer that is so far behind has no density to speak of
DOCS = Path("docs")
OTHER_SEED = "auto, other seed"
HEAD = """# Held-out nats beside other tools

Made by `python -m benchmarks.quality` from what its fits left behind; never by hand. Higher is better. Every method has
the same rows to fit and the same rows to be tested on, which nobody sees before the end: four fifths and a fifth of
real tables, 20,000 and 20,000 rows where the density is known. Rounded numbers are spread over their cells once, for
all alike. flowcli runs as `flowcli fit` does with no option. The peers: a full Gaussian, a mixture of up to 32 by BIC,
a kernel density with a cross-validated bandwidth (scikit-learn), and spline flows of zuko, nflows and flowjax (5
transforms, hidden layers of 128, 8 bins; standardised columns, AdamW with a cosine, clipping, the best weights by a
validation tenth, early stopping) and pzflow's default, for {seconds:.0f} seconds of one core each, or half as long on
two. Seconds are compared only where both had the same cores and nothing else ran.

    python -m benchmarks.quality          # again: all of it takes hours; --sets, --methods and --seeds take parts
    python -m benchmarks.quality.small    # the tables of few rows

How `auto` came to be as it is, and what was tried and lost, is in decisions
[0011](decisions/0011-what-auto-does.md), [0012](decisions/0012-sparse-networks-for-many-columns.md) and
[0014](decisions/0014-few-rows.md).
"""


@dataclass(frozen=True)
class Beside:
    """One method on one set, over all seeds.

    Attributes:
        nats: Mean over seeds and rows.
        gain: What auto has more, in nats a row.
        error: Standard error of that difference, row by row.
        own_error: Standard error of ``nats``, by rows.
        seconds: Median over seeds.
        missing: Share of the rows without a density.
    """

    nats: float
    gain: float
    error: float
    own_error: float
    seconds: float
    missing: float

    @property
    def errors(self) -> float:
        """The gain in standard errors."""
        return self.gain / self.error if self.error > 0 else 0.0


@dataclass(frozen=True)
class OfSet:
    """All of one set."""

    rows: int
    columns: int
    gap: float | None
    gap_error: float | None
    methods: dict[str, Beside]
    curves: dict[str, list[tuple[float, float]]]
    to_quality: dict[str, float | str] | None


def write_report(folder: Path, docs: Path = DOCS) -> None:
    """Write quality.json, quality.md and quality.png into a folder, from the results of fits in another."""
    found = {name: of for name in sets.NAMES if (of := _of_set(folder, name)) is not None}
    if not found:
        return
    budget = max((_budget(folder, name) for name in found), default=0.0)
    small = summary(folder)
    words: dict[str, object] = {name: asdict(of) for name, of in found.items()}
    words |= {name: {how: asdict(each) for how, each in of.items()} for name, of in small.items()}
    (docs / "quality.json").write_text(json.dumps(words, indent=1) + "\n")
    draw({name: of.curves for name, of in found.items()}, docs / "quality.png")
    (docs / "quality.md").write_text("\n".join([HEAD.format(seconds=budget), *_pages(found), *_of_small(small)]))


def _of_set(folder: Path, name: str) -> OfSet | None:
    auto = {seed: result for seed in SEEDS if (result := read(folder, name, methods.AUTO, seed)) is not None}
    if not auto:
        return None
    beside, curves = {}, {}
    for how in [*methods.shipped(), *methods.PEERS, methods.TUNED]:
        own = {seed: result for seed in auto if (result := read(folder, name, how, seed)) is not None}
        if own:
            beside[how] = _beside(auto, own)
            curves[how] = next(iter(own.values())).words["curve"]
    ensembles = {
        seed: result
        for seed in SEEDS
        if (result := read(folder, name, methods.ENSEMBLE, seed)) and result.members is not None
    }
    if ensembles:  # whose first flow is auto, and the second is auto with another seed
        first, second = ({seed: result.member(number) for seed, result in ensembles.items()} for number in range(2))
        beside |= {OTHER_SEED: _beside(first, second), methods.ENSEMBLE: _beside(first, ensembles)}
    rows = sets.split(name, 0).train.shape
    truths = [(r.truth - r.log_prob) for r in auto.values() if len(r.truth)]
    gap = np.concatenate(truths) if truths else None
    return OfSet(
        rows=rows[0],
        columns=rows[1],
        gap=None if gap is None else float(gap.mean()),
        gap_error=None if gap is None else float(gap.std() / np.sqrt(len(gap))),
        methods=beside,
        curves=curves,
        to_quality=_to_quality(folder, name, auto) if rows[0] >= LEAST_TIMED else None,
    )


def _beside(auto: dict[int, Result], own: dict[int, Result]) -> Beside:
    differences = np.concatenate([auto[seed].log_prob - result.log_prob for seed, result in own.items()])
    known = differences[~np.isnan(differences)]
    return Beside(
        nats=float(np.mean([result.nats for result in own.values()])),
        gain=float(known.mean()),
        error=float(known.std() / np.sqrt(len(known))),
        own_error=float(np.mean([result.error for result in own.values()])),
        seconds=float(np.median([result.seconds for result in own.values()])),
        missing=1 - len(known) / len(differences),
    )


def _to_quality(folder: Path, name: str, auto: dict[int, Result]) -> dict[str, float | str] | None:
    """How soon auto is where the best peer flow ends, beside how long that took; medians over seeds."""
    ratios, pairs, names = [], [], []
    for seed, ours in auto.items():
        flows = {how: r for how in methods.FLOWS if (r := read(folder, name, how, seed)) is not None}
        flows = {how: r for how, r in flows.items() if r.words["cores"] == ours.words["cores"]}
        if not flows:
            continue
        best = max(flows, key=lambda how: flows[how].nats)
        end = max(reached for _, reached in flows[best].words["curve"])
        theirs, own = flows[best].seconds_to(end), ours.seconds_to(end)
        ratios.append(own / theirs)
        pairs.append((theirs, own))
        names.append(best)
    if not ratios:
        return None
    theirs, own = (float(np.median(part)) for part in zip(*pairs, strict=True))
    return {"peer": names[0], "theirs": theirs, "ours": own, "ratio": float(np.median(ratios))}


def _budget(folder: Path, name: str) -> float:
    """Seconds times cores that peer flows had."""
    found = [read(folder, name, how, seed) for how in methods.FLOWS for seed in SEEDS]
    return max((r.words["budget"] * r.words["cores"] for r in found if r is not None), default=0.0)


def _pages(found: dict[str, OfSet]) -> Iterator[str]:
    peers = [how for how in methods.PEERS if any(how in of.methods for of in found.values())]
    yield "## What auto has more\n\nIn nats a row on the test rows, ± the standard error of the paired difference."
    yield "A minus is a peer that is ahead. Rows to which a peer gives no density are left out of its difference.\n"
    yield _table(
        ["table", "rows x columns", "auto", "s", *peers, "the best of them"],
        [
            [
                name,
                f"{of.rows:,} x {of.columns}",
                f"{of.methods[methods.AUTO].nats:.3f}",
                f"{of.methods[methods.AUTO].seconds:.0f}",
                *(_difference(of.methods.get(how)) for how in peers),
                _stands(of, peers),
            ]
            for name, of in found.items()
        ],
    )
    known = {name: of for name, of in found.items() if of.gap is not None}
    if known:
        yield "## From the truth\n"
        yield _table(
            ["table", "gap", "a column"],
            [
                [name, f"{of.gap:.4f} ± {of.gap_error:.4f}", f"{of.gap / of.columns:.4f}"]
                for name, of in known.items()
                if of.gap is not None
            ],
        )
    timed = {name: of.to_quality for name, of in found.items() if of.to_quality is not None}
    if timed:
        yield "## How soon\n\nWhen the best peer flow was where it ended, and when auto was there, in seconds.\n"
        yield _table(
            ["table", "rows", "best peer flow", "its seconds", "auto's", "ratio"],
            [
                [
                    name,
                    f"{found[name].rows:,}",
                    str(own["peer"]),
                    f"{own['theirs']:.1f}",
                    f"{own['ours']:.1f}",
                    f"{own['ratio']:.2f}",
                ]
                for name, own in timed.items()
            ],
        )
        yield "![Held-out nats over seconds](quality.png)\n"
        yield "Other fits in the figure had other cores or ran beside others, so that their seconds say little.\n"
    yield from _own(found)
    configs = [how for how in methods.shipped() if how != methods.AUTO]
    configs = [how for how in configs if any(how in of.methods for of in found.values())]
    if configs:
        yield "## What auto has more than the other configs\n"
        rows = [[name, *(_difference(of.methods.get(how)) for how in configs)] for name, of in found.items()]
        yield _table(["table", *configs], rows)


def _own(found: dict[str, OfSet]) -> Iterator[str]:
    """What more of auto is worth: another seed, three, and a choice of configs."""
    for how, title, said in (
        (
            OTHER_SEED,
            "The same with another seed",
            "What auto has more than with another seed of the fit, on the same rows.",
        ),
        (methods.ENSEMBLE, "Three flows as one density", "What `fit --ensemble 3` has more than auto."),
        (methods.TUNED, "Ten minutes of choice", "What `fit --tune 10m` has more than auto."),
    ):
        sign = 1 if how == OTHER_SEED else -1
        own = {name: of.methods[how] for name, of in found.items() if how in of.methods}
        if not own:
            continue
        yield f"## {title}\n\n{said}\n"
        yield _table(
            ["table", "difference, row by row", "in its standard errors", "standard error of one of the means"],
            [
                [
                    name,
                    f"{sign * each.gain + 0:.3f} ± {each.error:.3f}",
                    f"{sign * each.errors + 0:.1f}",
                    f"{each.own_error:.3f}",
                ]
                for name, each in own.items()
            ],
        )


def _of_small(small: dict[str, dict[str, Small]]) -> Iterator[str]:
    if not small:
        return
    peers = [how for how in methods.PEERS if any(how in of for of in small.values())]
    yield "## Few rows\n\nWhat auto has more, mean and standard error over splits. Those of a small table share rows,"
    yield "so that the errors are somewhat too small.\n"
    yield _table(
        ["table", "splits", "auto", *peers],
        [
            [
                name,
                str(of[methods.AUTO].splits),
                f"{of[methods.AUTO].nats:.3f}",
                *(f"{of[how].gain:.3f} ± {of[how].error:.3f}" for how in peers),
            ]
            for name, of in small.items()
        ],
    )


def _stands(of: OfSet, peers: Sequence[str]) -> str:
    """Where auto stands beside the peer that comes closest to it, in standard errors of the difference."""
    nearest = min((how for how in peers if how in of.methods), key=lambda how: of.methods[how].gain, default=None)
    if nearest is None:
        return ""
    errors = of.methods[nearest].errors
    word = "ahead" if errors > 2 else "behind" if errors < -1 else "level" if errors < 1 else "ahead, not clearly"
    return f"{nearest}: {word}"


def _difference(beside: Beside | None) -> str:
    if beside is None:
        return ""
    text = f"{beside.gain:.3f} ± {beside.error:.3f}" if beside.gain < FAR else f"over {FAR:,.0f}"
    return text + (f" ({beside.missing:.1%} without)" if beside.missing else "")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
