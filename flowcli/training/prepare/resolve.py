"""What ``auto`` means: every rule that turns the size of a table into a number of the config, in one place.

The rules come from trials on the sets of ``benchmarks/quality``; docs/decisions/0011-what-auto-does.md has what was
tried and lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from flowcli.config import schema as config
from flowcli.encoding import Encoder
from flowcli.training.loop.events import Settings

Value = TypeVar("Value")

# Steps in a fit: enough for small tables, and what a table of hundreds of thousands of rows gains from.
FEWEST_STEPS, MOST_STEPS = 1_000, 15_000
# Where epochs are short, many of them: 150 instead of 60 gained 0.10 nats on MAGIC, 0.13 on phoneme, 0.25 on avocados,
# and 300 no more. Where they are long, time counts for more.
EPOCHS, MANY_EPOCHS, SHORT = 60, 150, 5_000
# Steps of each way where mixtures cannot tell if a quantile map is worth its while, and how many nats a row they may be
# against it for that. By then the right way was ahead on every set that was tried (rings, checkerboard, MAGIC, phoneme,
# avocados), and by 0.01 to 0.06 nats on the checkerboard, whose mixtures had said the contrary by 0.47; after 230 steps
# one seed of four was wrong there, which cost 0.06.
TRIAL_STEPS, SHARE_OF_TRIAL, UNCLEAR = 300, 0.1, 1.0
# From so many columns on, each may have a small network of its own that sees the few columns that say most about it. On
# a chain of 64 columns that is 0.9 nats off the truth, where networks that see all columns are 5; with 36 columns of
# satimage it is 0.9 nats behind, with 16 of penbased 1.0, with 30 of wdbc 4.
WIDE, PARENTS, SPARSE_WIDTH, SPARSE_DROPOUT = 32, 4, 24, 0.05
# After a trial these are compared with mixtures that EM finds in a second. So many nats a column ahead, they are chosen
# (the chain: 0.23); behind, they are none for the rows (satimage: -0.12, a mixture in 32: -0.28, texture: -0.74);
# between (64 columns of digits: 0.04) the other architecture has a trial as well.
FEW_COMPONENTS, ROWS_OF_FEW, CLEARLY = {1: 0.0, 2: 0.0, 4: 0.0}, 5_000, 0.1
# More components than this only where each of their parameters has so many rows, and where twice as many gain so many
# nats at the start: 32 instead of 8 gained 0.34 nats on diamonds in the end (33 rows; 0.32 and 0.14 nats at the start).
# They lost 0.11 on MAGIC and 0.05 on phoneme (13 rows), and 0.007 on heavy tails (37 rows, but 0.05 and 0.03). In up to
# two columns many are no burden: 32 brought rings from 0.014 to 0.005 nats off the truth.
ALWAYS, MOST_COMPONENTS, ROWS_A_PARAMETER, WORTH, FLAT = 8, 32, 25, 0.1, 2
# Pieces of a spline. With 16 of them three seeds ended within 0.004 nats of each other on the checkerboard, and with 8
# within 0.016; their mean is 0.001 better, and rings are level. In more columns `fit --tune` tries it.
BINS, FINE_BINS, ROWS_OF_FINE = 8, 16, 10_000
# Of few rows a network learns too much before it is looked at again: with the slower rate, penguins gained 0.05 nats.
FEW_ROWS, SLOW, QUICK = 1_000, 1e-3, 3e-3


def candidate_components(base: config.Base, rows: int, columns: int) -> dict[int, float]:
    """Numbers of mixture components worth trying, and by how many nats each has to be better than the one before.

    Each needs rows to estimate its covariance from. A mixture that a network corrects wants fewer than one that stands
    alone.
    """
    worth = 0.0
    match base:
        case config.Mixture(mixture=options):
            wanted, most = options.components, MOST_COMPONENTS
        case config.AutoregressiveMixture(autoregressive_mixture=corrected):
            each = columns * (columns + 3) // 2 + 1  # parameters of a component
            wanted = corrected.components
            most = MOST_COMPONENTS if columns <= FLAT else max(ALWAYS, rows // (ROWS_A_PARAMETER * each))
            worth = 0.0 if columns <= FLAT else WORTH
        case _:
            return {1: 0.0}
    if wanted != "auto":
        return {wanted: 0.0}
    affordable = max(1, rows // (4 * columns + 10))
    counts = [count for count in (1, 2, 4, 8, 16, MOST_COMPONENTS) if count <= min(affordable, most)]
    return {count: worth if count > ALWAYS else 0.0 for count in counts}


@dataclass(frozen=True)
class Size:
    """What the rules go by.

    Attributes:
        rows: To train on.
        columns: D, the coordinates.
        codes: V.
        angles: A.
        incomplete: Whether there are rows in which a coordinate is missing.
    """

    rows: int
    columns: int
    codes: int = 0
    angles: int = 0
    incomplete: bool = False

    @classmethod
    def of(cls, encoder: Encoder, rows: int) -> Size:
        """Return the size of so many rows of a table."""
        layout = encoder.layout
        return cls(rows, layout.coordinates, len(layout.outcome_counts), layout.angles, layout.incomplete)


def resolve_flow(flow: config.FlowConfig, *, size: Size, marginal: bool, components: int) -> config.FlowConfig:
    """Return the architecture with nothing left to decide.

    Args:
        flow: As the user gave it.
        size: Of the table.
        marginal: Whether a quantile map was found to help, where that was left open.
        components: The number of components found best, where that was left open.
    """
    return config.FlowConfig(
        layers=tuple(_resolve_layer(layer, size, marginal) for layer in flow.layers),
        base=_resolve_base(flow.base, size, components),
        discrete=flow.discrete.model_copy(update={"net": _resolve_net(flow.discrete.net, size.rows, size.codes)}),
        circular=flow.circular.model_copy(update={"net": _resolve_net(flow.circular.net, size.rows, size.angles)}),
    )


def resolve_train(train: config.TrainConfig, *, rows: int) -> config.TrainConfig:
    """Return the training options with nothing left to decide."""
    # About thirty batches an epoch, between what keeps a processor busy and what it handles best.
    batch_size = min(
        rows, _or(train.batch_size, min(512, max(64 if rows < 640 else 128, 2 ** round(math.log2(rows / 32)))))
    )
    per_epoch = max(1, rows // batch_size)
    long = max(EPOCHS * per_epoch, min(MANY_EPOCHS * per_epoch, SHORT))
    steps = min(MOST_STEPS, max(FEWEST_STEPS, long))
    epochs = _or(train.epochs, -(-steps // per_epoch))
    steps = epochs * per_epoch
    return train.model_copy(
        update={
            "batch_size": batch_size,
            "epochs": epochs,
            "learning_rate": _or(train.learning_rate, SLOW if rows < FEW_ROWS else QUICK),
            "warmup": _or(train.warmup, min(100, steps // 10)),
            "patience": _or(train.patience, max(10, steps // _evaluate_every(steps, per_epoch) // 4)),
            # The average looks back over the last thirtieth of the fit.
            "average": _or(train.average, max(0.9, min(0.999, 1 - 30 / max(steps, 1)))),
        }
    )


def wide(flow: config.FlowConfig, *, size: Size) -> config.FlowConfig | None:
    """Return the architecture for many columns with nothing left to decide; ``None`` if few, or none is given."""
    if flow.wide is None or size.columns < WIDE:
        return None
    other = flow.model_copy(update={"layers": flow.wide.layers, "base": flow.wide.base})
    return resolve_flow(other, size=size, marginal=True, components=1)


def long_enough(train: config.TrainConfig, *, rows: int) -> bool:
    """Return whether a trial is but a small part of a fit."""
    steps = _resolved(train.epochs) * max(1, rows // _resolved(train.batch_size))
    return steps * SHARE_OF_TRIAL >= TRIAL_STEPS


def settings(train: config.TrainConfig, *, rows: int) -> Settings:
    """Return how the loop runs, from options in which nothing is left to decide."""
    batch_size, epochs = _resolved(train.batch_size), _resolved(train.epochs)
    per_epoch = max(1, rows // batch_size)
    return Settings(
        batch_size=batch_size,
        steps=epochs * per_epoch,
        evaluate_every=_evaluate_every(epochs * per_epoch, per_epoch),
        learning_rate=_resolved(train.learning_rate),
        schedule=train.schedule,
        warmup=_resolved(train.warmup),
        patience=_resolved(train.patience),
        clip=train.clip,
        weight_decay=train.weight_decay,
        average=_resolved(train.average),
        noise=train.noise,
    )


def _evaluate_every(steps: int, per_epoch: int) -> int:
    """Once an epoch, unless epochs are so short that scoring would cost more than training, or too long to wait for."""
    return min(500, max(per_epoch, min(25, steps // 20)))


def flow_layers(rows: int) -> int:
    """Return how many flow layers stand over the base, where that is left open."""
    return 1 if rows < 300 else 2 if rows < 2_000 else 3


def spline_bins(rows: int, columns: int) -> int:
    """Return how many bins a spline has where that is left to ``auto``."""
    return FINE_BINS if columns <= FLAT and rows >= ROWS_OF_FINE else BINS


def wants_marginal(flow: config.FlowConfig) -> list[bool]:
    """Return whether a fit may go without a quantile map, with one, or either."""
    first = flow.layers[0] if flow.layers else None
    if not isinstance(first, config.Marginal):
        return [False]
    return {"none": [False], "quantile": [True], "auto": [False, True]}[first.marginal]


def _resolve_layer(layer: config.Layer, size: Size, marginal: bool) -> config.Layer:
    rows, columns = size.rows, size.columns
    match layer:
        case config.Linear(linear="auto"):
            return config.Linear(linear="none" if size.incomplete else "lu")
        case config.Marginal(marginal="auto"):
            return config.Marginal(marginal="quantile" if marginal else "none")
        case config.Repeat():
            inner = tuple(_resolve_layer(each, size, marginal) for each in _mixed_somehow(layer.layers, size))
            return config.Repeat(repeat=_or(layer.repeat, flow_layers(rows)), layers=inner)
        case config.Coupling(coupling=coupling):
            update = {
                "net": _resolve_net(coupling.net, rows, columns),
                "transform": _resolve_bins(coupling.transform, size),
            }
            return config.Coupling(coupling=coupling.model_copy(update=update))
        case config.Autoregressive(autoregressive=options):
            update = {
                "net": _resolve_net(options.net, rows, columns),
                "transform": _resolve_bins(options.transform, size),
            }
            return config.Autoregressive(autoregressive=options.model_copy(update=update))
        case config.Elementwise(elementwise=each):
            update = {"transform": _resolve_bins(each.transform, size)}
            return config.Elementwise(elementwise=each.model_copy(update=update))
        case _:
            return layer


def _mixed_somehow(layers: Sequence[config.Layer], size: Size) -> Sequence[config.Layer]:
    """Return layers in which couplings take turns at the columns, where missing cells let no matrix mix these."""
    if not size.incomplete or not any(isinstance(layer, config.Coupling) for layer in layers):
        return layers
    reverse = config.Permutation(permutation="reverse")
    return [reverse if layer == config.Linear(linear="auto") else layer for layer in layers]


def _resolve_bins(transform: config.Transform, size: Size) -> config.Transform:
    if not isinstance(transform, config.Spline):
        return transform
    bins = _or(transform.spline.bins, spline_bins(size.rows, size.columns))
    return config.Spline(spline=transform.spline.model_copy(update={"bins": bins}))


def _resolve_base(base: config.Base, size: Size, components: int) -> config.Base:
    match base:
        case config.Mixture(mixture=options):
            resolved = options.model_copy(update={"components": _or(options.components, components)})
            return config.Mixture(mixture=resolved)
        case config.AutoregressiveMixture(autoregressive_mixture=options):
            update = {
                "components": _or(options.components, components),
                "net": _resolve_net(options.net, size.rows, size.columns),
            }
            return config.AutoregressiveMixture(autoregressive_mixture=options.model_copy(update=update))
        case _:
            return base


def _resolve_net(net: config.Net, rows: int, columns: int) -> config.Net:
    """Small networks and strong dropout for few rows, but no network so narrow that columns miss their neighbours."""
    if net.parents is not None:
        update = {
            "hidden": _or(net.hidden, (SPARSE_WIDTH,)),
            "dropout": _or(net.dropout, SPARSE_DROPOUT),
            "parents": _or(net.parents, PARENTS),
        }
        return net.model_copy(update=update)
    width = max(64 if rows < 3_000 else 128, min(columns, 512))
    dropout = 0.2 if rows < 20_000 else 0.1 if rows < 100_000 else 0.0
    return net.model_copy(update={"hidden": _or(net.hidden, (width, width)), "dropout": _or(net.dropout, dropout)})


def _or(value: Value | config.Auto, decided: Value) -> Value:
    """Return the value that the user gave, or the one decided where that is ``auto``."""
    return decided if isinstance(value, str) else value


def _resolved(value: Value | config.Auto) -> Value:
    assert not isinstance(value, str), "left to decide"
    return value
