"""A fit, made ready from the rows of a table and a config: what is decided, where it starts, and what it leaves."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowcli.config import from_mapping
from flowcli.config import schema as config
from flowcli.density import Coordinates, Density
from flowcli.errors import ConfigError, DataError, ModelFileError, UsageError
from flowcli.flows import Flow, Transform, bases, build, check_size
from flowcli.table import Schema, Table
from flowcli.table.schema import Column
from flowcli.training import auto
from flowcli.training.compiled import compiled
from flowcli.training.loop import SCORING_ROWS, Loop
from flowcli.training.mixture import fit_mixture
from flowcli.training.rows import TrainingRows, generator, mixed
from flowcli.training.split import among, hold_out
from flowcli.training.start import Start, choose_start

Notice = Callable[[str], None]
FEW_ROWS_PER_COLUMN = 10
FEWEST_ROWS = 3  # two to train on, one to hold out
COLLINEAR = 1e-12
# In units of a column's spread: the square of what is farther out leaves the numbers of a float32 fit.
FARTHEST = 1e9
OUTLYING = 100_000  # in the same units: beyond this, no heavy tail of a usual kind reaches in a table


@dataclass
class Fitting:
    """A fit that is ready to run.

    Attributes:
        request: The config as the user gave it.
        config: The same with nothing left to decide.
        coordinates: From columns to coordinates.
        loop: The fit.
        train: The training rows (N, N_c), in the units of the table.
        held_out: The held-out rows (M, N_c).
        seed: Of all random numbers.
        fingerprint: Of the data, to know it again.
    """

    request: config.Config
    config: config.Config
    coordinates: Coordinates
    loop: Loop
    train: NDArray[np.float64]
    held_out: NDArray[np.float64]
    seed: int
    fingerprint: str

    def density(self) -> Density:
        """The best density so far, on the CPU, with a summary of how it came about."""
        density = Density(self.coordinates, copy.deepcopy(self.loop.best).cpu(), self.config)
        nats = density.log_prob(self.held_out)
        best = [evaluation for evaluation in self.loop.history if evaluation.best][-1]
        density.summary = {
            "rows": len(self.train),
            "held_out_rows": len(self.held_out),
            "held_out_nats": float(nats.mean()),
            "held_out_error": float(nats.std() / math.sqrt(len(nats))),
            "outcome": self.loop.outcome,
            "steps": self.loop.step,
            "best_step": best.step,
            "seconds": round(self.loop.seconds, 3),
            "seed": self.seed,
            "history": [
                {
                    "step": e.step,
                    "epoch": e.epoch,
                    "train_nats": _or_none(e.train_nats),
                    "held_out_nats": e.held_out_nats,
                }
                for e in self.loop.history
            ],
        }
        return density

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """A document and tensors from which ``resume`` continues, to the bit."""
        document, tensors = self.loop.state()
        return {
            "request": self.request.to_json(),
            "config": self.config.to_json(),
            "columns": self.coordinates.schema.to_json(),
            "seed": self.seed,
            "fingerprint": self.fingerprint,
            "loop": document,
        }, tensors


def prepare(
    table: Table,
    request: config.Config,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    valid: Table | None = None,
    allow_singular: bool = False,
    compile: bool = False,
    notice: Notice,
) -> Fitting:
    """Decide what is left to decide, and set up a fit at its start.

    Args:
        table: The rows.
        request: The config.
        seed: Of all random numbers.
        device: Where the fit runs.
        valid: Rows to hold out, instead of a share of the table's.
        allow_singular: Go on where a column is a linear function of others, with noise that is said.
        compile: Run the steps through torch's compiler, if there is one.
        notice: Takes lines for the user.

    Raises:
        DataError: The rows cannot carry a density.
        ConfigError: The config asks for something impossible.
        NumericsError: No start could be found.
    """
    table = _checked(table, allow_singular, seed, notice)
    train, held_out = _split(table, valid, request.train.valid, seed, notice)
    plain = Coordinates.fit(table.schema, torch.from_numpy(train))
    columns = plain.columns
    if len(train) < FEW_ROWS_PER_COLUMN * columns:
        notice(f"only {len(train):,} rows for {columns} columns; the density will be rough")
    if not any(auto.wants_marginal(request.flow)):
        train, held_out = _within_reach(plain, train, held_out, notice)
    _warn_of_outliers(plain, train, notice)
    most = auto.candidate_components(request.flow.base, len(train), columns)[-1]
    check_size(
        auto.settle_flow(request.flow, rows=len(train), columns=columns, marginal=True, components=most), columns
    )
    coordinates, settled, start = _choose(request, plain, train, held_out, seed)
    train, held_out = _within_reach(coordinates, train, held_out, notice)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mixed(seed, 8))
        flow = build(settled.flow, columns)
        rows = TrainingRows(coordinates, torch.from_numpy(train), seed)
        _start(flow, rows.epoch(0), start, seed)
    loop = _loop(flow, coordinates, settled, train, held_out, seed, device, notice if compile else None)
    return Fitting(request, settled, coordinates, loop, train, held_out, seed, fingerprint(table, valid))


def resume(
    document: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    coordinates: Coordinates,
    table: Table,
    request: config.Config,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    valid: Table | None = None,
    allow_singular: bool = False,
    compile: bool = False,
    notice: Notice,
) -> Fitting:
    """Set up a fit where an earlier one of the same rows and config stopped.

    Args:
        document: Of the earlier fit's ``state``.
        tensors: Of the same.
        coordinates: Of the same fit.
        table: The rows again.
        request: The config again.
        seed: The seed again.
        device: Where the fit goes on.
        valid: The held-out rows again, if they were given.
        allow_singular: As it was.
        compile: Run the steps through torch's compiler, if there is one.
        notice: Takes lines for the user.

    Raises:
        UsageError: Rows, columns, config or seed differ.
        ModelFileError: The state contradicts itself.
    """
    _same("columns", [c["name"] for c in document["columns"]], table.schema.names)
    _same("column kinds", document["columns"], table.schema.to_json())
    _same("config", document["request"], request.to_json())
    _same("seed", document["seed"], seed)
    _same("rows", document["fingerprint"], fingerprint(table, valid))
    table = _checked(table, allow_singular, seed, lambda _: None)
    train, held_out = _split(table, valid, request.train.valid, seed, lambda _: None)
    train, held_out = _within_reach(coordinates, train, held_out, lambda _: None)
    settled = from_mapping(document["config"])
    with torch.random.fork_rng(devices=[]):
        flow = build(settled.flow, coordinates.columns)
    loop = _loop(flow, coordinates, settled, train, held_out, seed, device, notice if compile else None)
    try:
        loop.restore(document["loop"], tensors)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"--resume: the state of the fit cannot be understood ({error!r}); --force starts again"
        ) from error
    notice(f"going on from step {loop.step:,} of {loop.settings.steps:,}")
    return Fitting(request, settled, coordinates, loop, train, held_out, seed, document["fingerprint"])


def fingerprint(table: Table, valid: Table | None) -> str:
    """SHA-256 of the rows and the names of the columns."""
    digest = hashlib.sha256()
    for part in (table, valid):
        if part is not None:
            digest.update(repr(part.schema.names).encode())
            digest.update(np.ascontiguousarray(part.values).tobytes())
    return digest.hexdigest()


def _checked(table: Table, allow_singular: bool, seed: int, notice: Notice) -> Table:
    """The table, if a density can be fitted to it."""
    rows, columns = table.values.shape
    if all(column.kind == "constant" for column in table.schema.columns):
        raise DataError("every column is constant; there is nothing to fit", source=table.source)
    if rows <= max(columns, FEWEST_ROWS - 1):
        raise DataError(
            f"{rows} rows are too few for {columns} columns; a density needs more rows than columns, and at least"
            f" {FEWEST_ROWS}",
            source=table.source,
        )
    as_real = (c if c.kind == "constant" else Column(c.name) for c in table.schema.columns)
    rough = Coordinates.fit(Schema(tuple(as_real)), torch.from_numpy(table.values))
    collinear = _collinear(rough, table.values)
    if not collinear:
        return table
    names = ", ".join(collinear)
    if not allow_singular:
        raise DataError(
            f"columns {names} are a linear function of each other, so the rows have no density; leave one out with"
            f" --exclude {collinear[-1]}, or add a little noise with --allow-singular",
            source=table.source,
        )
    notice(f"columns {names} are a linear function of each other; noise of a thousandth of their spread was added")
    values = table.values.copy()
    noise = np.random.default_rng([seed, 9])
    spread = dict(zip(rough.names, rough.scale.tolist(), strict=True))
    for name in collinear:
        place = table.schema.names.index(name)
        lower, upper = table.schema.columns[place].support
        noisy = values[:, place] + 1e-3 * spread[name] * noise.standard_normal(rows)
        values[:, place] = np.where((lower < noisy) & (noisy < upper), noisy, values[:, place])
    return Table(values, table.schema, table.source)


def _collinear(rough: Coordinates, values: NDArray[np.float64]) -> list[str]:
    """The names of columns that are linear functions of each other, exactly; ``rough`` only centres and scales."""
    if rough.columns < 2:
        return []
    u = rough.forward(torch.from_numpy(values))[0].numpy()
    # A linear function with its constant vanishes whatever each row is multiplied by. So rows are made equally long,
    # lest a few outliers stand for all of them.
    u = np.column_stack([u, np.ones(len(u))])
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    u /= np.linalg.norm(u, axis=0)
    if np.linalg.svd(u, compute_uv=False)[-1] > math.sqrt(COLLINEAR):
        return []
    # The combination of columns that vanishes, and who takes part in it.
    combination = np.linalg.svd(u, full_matrices=False)[2][-1, :-1]
    return [rough.names[i] for i in np.flatnonzero(np.abs(combination) > 1e-3)]


def _split(
    table: Table, valid: Table | None, share: float, seed: int, notice: Notice
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if valid is not None:
        held = Coordinates.fit(table.schema, torch.from_numpy(table.values)).support(torch.from_numpy(valid.values))
        if not held.all():
            row = int(torch.argmin(held.int())) + 1
            raise DataError(
                f"row {row} cannot come from the columns of the training rows: a value differs from a constant, or lies"
                " outside of its bounds; leave such rows out",
                source=valid.source,
            )
        shared = among(table.values, valid.values)
        if shared.all():
            raise DataError("all rows stand in the --valid file too; nothing is left to fit", source=table.source)
        if shared.any():
            notice(f"{int(shared.sum()):,} rows stand in the --valid file too and are not fitted to")
        return table.values[~shared], valid.values
    mask, copies = hold_out(table.values, share, seed)
    if copies:
        notice(f"{copies:,} rows are copies of others; copies are held out together or not at all")
    mask &= ~_far(Coordinates.fit(table.schema, torch.from_numpy(table.values)), table.values)
    if mask.all() or not mask.any():
        raise DataError("fewer than two different rows; there is nothing to fit", source=table.source)
    return table.values[~mask], table.values[mask]


def _far(coordinates: Coordinates, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows lie so far out that a fit cannot compute with them, (N,)."""
    u, log_det = coordinates.forward(torch.from_numpy(values))
    return np.asarray(((u.abs() > FARTHEST).any(1) | (log_det == -math.inf)).numpy())


def _warn_of_outliers(coordinates: Coordinates, train: NDArray[np.float64], notice: Notice) -> None:
    """Say which columns have values so far from the others that they may be mistakes."""
    u, _ = coordinates.forward(torch.from_numpy(train))
    farthest = u.abs().amax(0)
    odd = [name for name, reach in zip(coordinates.names, farthest.tolist(), strict=True) if reach > OUTLYING]
    if odd:
        shown = ", ".join(map(repr, odd[:8])) + (f" and {len(odd) - 8} more" if len(odd) > 8 else "")
        notice(f"values over {OUTLYING:,} times the usual spread from the others, in {shown}; mistakes?")


def _within_reach(
    coordinates: Coordinates, train: NDArray[np.float64], held_out: NDArray[np.float64], notice: Notice
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The rows without those that lie so far out that a fit cannot compute with them."""
    far_train, far_held_out = (_far(coordinates, part) for part in (train, held_out))
    if count := int(far_train.sum() + far_held_out.sum()):
        notice(
            f"rows over {FARTHEST:g} times a column's spread away from the others are left out of the fit: {count:,};"
            " layers that begin with 'marginal: quantile' can be trained on them"
        )
    if far_held_out.all():
        raise DataError("all held-out rows lie too far from the training rows to compare them")
    return train[~far_train], held_out[~far_held_out]


def _choose(
    request: config.Config, plain: Coordinates, train: NDArray[np.float64], held_out: NDArray[np.float64], seed: int
) -> tuple[Coordinates, config.Config, Start | None]:
    """Decide the coordinates, the config, and the mixture to start from if there is to be one."""
    marginals = auto.wants_marginal(request.flow)
    if len(marginals) > 1 and _far(plain, train).any():
        marginals = [True]  # no choice then: without a quantile map such rows would be left out
    wanted, from_em = _mixture_wish(request.flow.base)
    values = torch.from_numpy(train)
    if wanted is None and len(marginals) == 1:
        coordinates = plain.with_marginal(plain.jitter(values, generator(seed, 6))) if marginals[0] else plain
        components, start = 1, None
    else:
        counts = auto.candidate_components(request.flow.base, len(train), plain.columns)
        start = choose_start(
            plain, values, torch.from_numpy(held_out), marginals=marginals, components=counts, seed=seed
        )
        coordinates, components = start.coordinates, len(start.mixture.weights)
        start = start if from_em else None
    if isinstance(wanted, int) and start is not None and wanted != components:
        raise ConfigError(f"components: {wanted} are more than the {len(train)} rows; use fewer")
    flow = auto.settle_flow(
        request.flow,
        rows=len(train),
        columns=plain.columns,
        marginal=coordinates.marginal is not None,
        components=components,
    )
    train_options = auto.settle_train(request.train, rows=len(train))
    return coordinates, request.model_copy(update={"flow": flow, "train": train_options}), start


def _mixture_wish(base: config.Base) -> tuple[int | config.Auto | None, bool]:
    """How many components the base is to have, if it is a mixture, and whether EM starts it."""
    match base:
        case config.Mixture(mixture=options):
            return options.components, options.start == "em"
        case config.AutoregressiveMixture(autoregressive_mixture=options):
            return options.components, options.start == "em"
        case _:
            return None, False


@torch.no_grad()
def _start(flow: Flow, rows: Tensor, start: Start | None, seed: int) -> None:
    """Data-dependent starts, layer by layer, then the mixture of what comes out."""
    flow.eval()
    z = rows
    for layer in flow.layers:
        assert isinstance(layer, Transform)
        layer.start(z)
        z = torch.cat([layer(block)[0] for block in torch.split(z, SCORING_ROWS)])
    if start is None or not isinstance(flow.base, bases.Mixture | bases.AutoregressiveMixture):
        return
    mixture = start.mixture
    if not torch.allclose(z, rows, rtol=1e-4, atol=1e-4):  # the layers do not start at the identity
        mixture = fit_mixture(z, len(mixture.weights), seed=seed, ridge=start.ridge)
    flow.base.gaussians.set(*mixture)


def _loop(
    flow: Flow,
    coordinates: Coordinates,
    settled: config.Config,
    train: NDArray[np.float64],
    held_out: NDArray[np.float64],
    seed: int,
    device: torch.device | str,
    compiling: Notice | None,
) -> Loop:
    """The loop over these rows, everything on the device; its steps are compiled if somebody takes the notices."""
    rows = TrainingRows(coordinates, torch.from_numpy(train), seed, device)
    held_u, held_log_det = coordinates.forward(coordinates.jitter(torch.from_numpy(held_out), generator(seed, 7)))
    settings = auto.settings(settled.train, rows=len(train))
    quicken = None if compiling is None else partial(compiled, notice=compiling)
    return Loop(flow.to(device), rows, held_u.float().to(device), held_log_det, settings, seed, quicken)


def _same(what: str, before: Any, now: Any) -> None:
    """Refuse to go on with something else, and say what."""
    if before != now:
        path, old, new = _first_difference(before, now)
        where = f"{what} {path}" if path else what
        details = "" if len(f"{old}{new}") > 100 else f": it was {old}, now it is {new}"
        raise UsageError(f"--resume: not the fit that was interrupted; other {where}{details}")


def _first_difference(before: Any, now: Any, path: str = "") -> tuple[str, Any, Any]:
    """Where two JSON values differ first, and how."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *now]:
            if before.get(key) != now.get(key):
                return _first_difference(before.get(key), now.get(key), f"{path}.{key}".lstrip("."))
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, (old, new) in enumerate(zip(before, now, strict=True)):
            if old != new:
                return _first_difference(old, new, f"{path}[{number}]")
    return path, before, now


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
