"""A fit, made ready from the rows of a table and a config: what is decided, where it starts, and what it leaves."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowcli.config import from_mapping
from flowcli.config import schema as config
from flowcli.encoding import Encoder, Standardizer
from flowcli.errors import DataError, ModelFileError, UsageError
from flowcli.flows import MixedDensity, Transform, bases, build_mixed, check_mixed_size
from flowcli.model import FlowDensity
from flowcli.model.held_out import HeldOut
from flowcli.random import Stream, derived_seed, numpy_generator
from flowcli.table import Table
from flowcli.table.schema import Column
from flowcli.text import and_more
from flowcli.training.loop.compiled import compiled
from flowcli.training.loop.epochs import TrainingRows, dequantization_shares, generator
from flowcli.training.loop.loop import SCORING_ROWS, Loop, mean_and_error
from flowcli.training.prepare import resolve
from flowcli.training.prepare.candidates import PreparedFit, StartCandidate, StartCandidates, best
from flowcli.training.prepare.latents import contexts, with_gaps
from flowcli.training.prepare.mixture import fit_mixture
from flowcli.training.prepare.row_sets import FARTHEST, RowSet, far
from flowcli.training.prepare.split import among, hold_out
from flowcli.training.prepare.starts import Start
from flowcli.training.prepare.tail_index import tail_indices

Notice = Callable[[str], None]
FEW_ROWS_PER_COLUMN = 10
FEWEST_ROWS = 3  # two to train on, one to hold out
COLLINEAR = 1e-12
OUTLYING = 100_000  # of a column's spreads: beyond this, no heavy tail of a usual kind reaches in a table


@dataclass
class Fitting:
    """A fit that is ready to run.

    Attributes:
        request: The config as the user gave it.
        config: The same with nothing left to decide.
        encoding: From columns to what the density takes.
        loop: The fit.
        train: The training rows.
        held_out: The held-out rows.
        seed: Of all random numbers.
        fingerprint: Of the data, to know it again.
        ridge: Of the mixture that EM found to start from, if it did.
    """

    request: config.Config
    config: config.Config
    encoding: Encoder
    loop: Loop
    train: RowSet
    held_out: RowSet
    seed: int
    fingerprint: str
    ridge: float | None = None

    def density(self) -> FlowDensity:
        """The best density so far, on the CPU, with a summary of how it came about."""
        density = FlowDensity(self.encoding, copy.deepcopy(self.loop.best).cpu(), self.config)
        log_prob = density.log_prob(self.held_out.values)
        density.held_out = HeldOut.of(log_prob, self.held_out.weights)
        held_out_nats, held_out_error = mean_and_error(torch.from_numpy(log_prob), self.held_out.weight_tensor)
        best = [evaluation for evaluation in self.loop.history if evaluation.best][-1]
        density.summary = {
            "rows": len(self.train),
            "held_out_rows": len(self.held_out),
            "held_out_nats": held_out_nats,
            "held_out_error": _or_none(held_out_error),
            "outcome": self.loop.outcome,
            "steps": self.loop.step,
            "best_step": best.step,
            "seconds": round(self.loop.seconds, 3),
            "seed": self.seed,
            "ridge": self.ridge,
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
            "columns": self.encoding.schema.to_json(),
            "seed": self.seed,
            "fingerprint": self.fingerprint,
            "ridge": self.ridge,
            "loop": document,
        }, tensors


def prepare(
    table: Table,
    request: config.Config,
    *,
    seed: int = 0,
    held_out_seed: int | None = None,
    device: torch.device | str = "cpu",
    valid: Table | None = None,
    allow_singular: bool = False,
    compile: bool = False,
    time_limit: float | None = None,
    notice: Notice,
) -> Fitting:
    """Decide what is left to decide, and set up a fit at its start.

    Args:
        table: The rows.
        request: The config.
        seed: Of all random numbers.
        held_out_seed: Of those that say which rows are held out, where it is another one.
        device: Where the fit runs.
        valid: Rows to hold out, instead of a share of the table's.
        allow_singular: Go on where a column is a linear function of others, with noise that is said.
        compile: Run the steps through torch's compiler, if there is one.
        time_limit: Seconds that the fit will have; trials take a small share of them.
        notice: Takes lines for the user.

    Raises:
        DataError: The rows cannot carry a density.
        ConfigError: The config asks for something impossible.
        NumericsError: No start could be found.
    """
    of_rows = seed if held_out_seed is None else held_out_seed
    table = _checked(table, allow_singular, of_rows, notice)
    train, held_out = _split(table, valid, request.train.valid, of_rows, notice)
    encoding = Encoder.fit(table.schema, train.tensor)
    columns = len(encoding.coordinates)
    if len(train) < FEW_ROWS_PER_COLUMN * columns:
        notice(f"only {len(train):,} rows for {columns} columns; the density will be rough")
    train, held_out = _trainable(encoding, request, train, held_out, notice)
    _warn_of_outliers(encoding, train, notice)
    index = tail_indices(encoding.coordinates, encoding.line(train.tensor))
    encoding = encoding.with_coordinates(encoding.coordinates.with_tails(index))
    _check_size(encoding, request, len(train))
    start_candidates = StartCandidates(request, encoding, train, held_out, seed)

    def begin(candidate: StartCandidate) -> PreparedFit:
        return _ready(candidate, train, held_out, seed, device)

    result = best(start_candidates, begin, notice, time_limit)
    _say_left_out((train, held_out), (result.train, result.held_out), notice)
    train, held_out, loop, resolved = result.train, result.held_out, result.loop, result.candidate.resolved
    if compile:
        ground = _LoopFactory(result.encoding, resolved, train, held_out, seed, device)
        loop = ground.continued(loop.state(), notice)
    ridge = None if result.candidate.start is None else result.candidate.start.ridge
    return Fitting(request, resolved, result.encoding, loop, train, held_out, seed, fingerprint(table, valid), ridge)


def resume(
    document: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    encoding: Encoder,
    table: Table,
    request: config.Config,
    *,
    seed: int,
    held_out_seed: int | None = None,
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
        encoding: Of the same fit.
        table: The rows again.
        request: The config again.
        seed: The seed again.
        held_out_seed: The same of the held-out rows, where it was another one.
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
    of_rows = seed if held_out_seed is None else held_out_seed
    table = _checked(table, allow_singular, of_rows, lambda _: None)
    train, held_out = _split(table, valid, request.train.valid, of_rows, lambda _: None)
    train, held_out = _trainable(encoding, request, train, held_out, lambda _: None)
    train, held_out = _within_reach(encoding, train, held_out)
    resolved = from_mapping(document["config"])
    ground = _LoopFactory(encoding, resolved, train, held_out, seed, device)
    try:
        loop = ground.continued((document["loop"], tensors), notice if compile else None)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"--resume: the state of the fit cannot be understood ({error!r}); --force starts again"
        ) from error
    notice(f"going on from step {loop.step:,} of {loop.settings.steps:,}")
    return Fitting(request, resolved, encoding, loop, train, held_out, seed, document["fingerprint"], document["ridge"])


def fingerprint(table: Table, valid: Table | None) -> str:
    """SHA-256 of the rows and the names of the columns."""
    digest = hashlib.sha256()
    for part in (table, valid):
        if part is not None:
            digest.update(repr(part.schema.names).encode())
            digest.update(np.ascontiguousarray(part.values).tobytes())
            if part.weights is not None:
                digest.update(np.ascontiguousarray(part.weights).tobytes())
    return digest.hexdigest()


def _checked(table: Table, allow_singular: bool, seed: int, notice: Notice) -> Table:
    """The table, if a density can be fitted to it."""
    modelled = [column for column in table.schema.columns if not column.given]
    if all(column.kind == "constant" and not column.missing for column in modelled):
        raise DataError("every column is constant; there is nothing to fit", source=table.source)
    rows, columns = len(table.values), sum(column.continuous for column in modelled)
    if rows <= max(columns, FEWEST_ROWS - 1):
        raise DataError(
            f"{rows} rows are too few for {len(modelled)} columns; a density needs more rows than continuous columns,"
            f" and at least {FEWEST_ROWS}",
            source=table.source,
        )
    collinear, spreads = _collinear(table)
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
    noise = numpy_generator(seed, Stream.COLLINEARITY_NOISE)
    for name, spread in zip(collinear, spreads, strict=True):
        position = table.schema.names.index(name)
        lower, upper = table.schema.columns[position].support
        noisy = values[:, position] + 1e-3 * spread * noise.standard_normal(rows)
        values[:, position] = np.where((lower < noisy) & (noisy < upper), noisy, values[:, position])
    return replace(table, values=values)


def _collinear(table: Table) -> tuple[list[str], list[float]]:
    """The names of columns that are linear functions of each other, exactly, and their spreads.

    Columns of which all are rounded have a density whatever they depend on: their cells have a mass.
    """
    columns = [
        (position, column)
        for position, column in enumerate(table.schema.columns)
        if (column.continuous or column.kind == "discrete") and not (column.subtracted_columns or column.given)
    ]
    values = table.values[:, [position for position, _ in columns]]
    values = values[~np.isnan(values).any(axis=1)]
    if len(columns) < 2 or len(values) <= len(columns):
        return [], []
    rough = Standardizer.fit([Column(column.name) for _, column in columns], torch.from_numpy(values))
    # A linear function with its constant vanishes whatever each row is multiplied by. So rows are made equally long,
    # lest a few outliers stand for all of them.
    u = np.column_stack([rough.forward(torch.from_numpy(values))[0].numpy(), np.ones(len(values))])
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    u /= np.linalg.norm(u, axis=0)
    if np.linalg.svd(u, compute_uv=False)[-1] > math.sqrt(COLLINEAR):
        return [], []
    # The combination of columns that vanishes, and who takes part in it.
    combination = np.linalg.svd(u, full_matrices=False)[2][-1, :-1]
    partners = np.flatnonzero(np.abs(combination) > 1e-3).tolist()
    if all(columns[partner][1].step for partner in partners):
        return [], []
    return [rough.names[partner] for partner in partners], rough.scale[partners].tolist()


def _split(table: Table, valid: Table | None, share: float, seed: int, notice: Notice) -> tuple[RowSet, RowSet]:
    encoding = Encoder.fit(table.schema, torch.from_numpy(table.values))
    if valid is not None:
        held = encoding.possible(torch.from_numpy(valid.values))
        if not held.all():
            row = int(torch.argmin(held.int())) + 1
            raise DataError(
                f"row {row} cannot come from the columns of the training rows: a value differs from a constant, or lies"
                " outside of its bounds, or among no levels; leave such rows out",
                source=valid.source,
            )
        shared = among(table.values, valid.values)
        if shared.all():
            raise DataError("all rows stand in the --valid file too; nothing is left to fit", source=table.source)
        if shared.any():
            notice(f"{int(shared.sum()):,} rows stand in the --valid file too and are not fitted to")
        return RowSet(table.values, table.weights).keep(~shared), _whole(valid)
    numbers, unrounded = (part.numpy() for part in encoding.has_numbers(torch.from_numpy(table.values)))
    mask, copies = hold_out(table.values, share, seed, ~numbers, numbers & ~unrounded)
    if copies:
        notice(f"{copies:,} rows are copies of others; copies are held out together or not at all")
    mask &= ~far(encoding, table.values)
    if mask.all() or not mask.any():
        raise DataError("fewer than two different rows; there is nothing to fit", source=table.source)
    whole = RowSet(table.values, table.weights)
    for part in (~mask, mask):
        if table.weights is not None and not table.weights[part].sum() > 0:
            raise DataError("the weights leave nothing to fit, or nothing to hold out", source=table.source)
    return whole.keep(~mask), whole.keep(mask)


def _whole(table: Table) -> RowSet:
    """All rows of a table."""
    return RowSet(table.values, table.weights).keep(np.ones(len(table.values), dtype=np.bool_))


def _warn_of_outliers(encoding: Encoder, train: RowSet, notice: Notice) -> None:
    """Say which columns have values so far from the others that they may be mistakes."""
    coordinates = encoding.coordinates
    if not len(coordinates):
        return
    farthest = coordinates.unit(encoding.line(train.tensor)).abs().nan_to_num(0.0).amax(0)
    odd = [name for name, reach in zip(coordinates.names, farthest.tolist(), strict=True) if reach > OUTLYING]
    if odd:
        shown = and_more([repr(name) for name in odd])
        notice(f"values over {OUTLYING:,} times the usual spread from the others, in {shown}; mistakes?")


def _trainable(
    encoding: Encoder, request: config.Config, train: RowSet, held_out: RowSet, notice: Notice
) -> tuple[RowSet, RowSet]:
    """The rows that layers may see where no quantile map brings outliers nearer."""
    if any(resolve.wants_marginal(request.flow)):
        return train, held_out
    near = _within_reach(encoding.with_coordinates(encoding.coordinates.plain), train, held_out)
    _say_left_out((train, held_out), near, notice)
    return near


def _within_reach(encoding: Encoder, train: RowSet, held_out: RowSet) -> tuple[RowSet, RowSet]:
    """The rows without those that lie so far out that a fit cannot compute with them."""
    far_train, far_held_out = (far(encoding, part.values) for part in (train, held_out))
    if far_held_out.all():
        raise DataError("all held-out rows lie too far from the training rows to compare them")
    if far_train.any() or far_held_out.any():
        return train.keep(~far_train), held_out.keep(~far_held_out)
    return train, held_out


def _say_left_out(before: tuple[RowSet, RowSet], after: tuple[RowSet, RowSet], notice: Notice) -> None:
    """Say how many rows have no part in the fit, if there are any."""
    if rows := sum(map(len, before)) - sum(map(len, after)):
        notice(
            f"rows over {FARTHEST:g} times a column's spread away from the others are left out of the fit: {rows:,};"
            " layers that begin with 'marginal: quantile' can be trained on them"
        )


def _check_size(encoding: Encoder, request: config.Config, rows: int) -> None:
    """Refuse what would be too large before anything is made."""
    most = max(resolve.candidate_components(request.flow.base, rows, len(encoding.coordinates)))
    size = resolve.Size.of(encoding, rows)
    largest = resolve.resolve_flow(request.flow, size=size, marginal=True, components=most)
    check_mixed_size(largest, encoding.layout, encoding.numbers)


def _ready(
    candidate: StartCandidate, train: RowSet, held_out: RowSet, seed: int, device: torch.device | str
) -> PreparedFit:
    """One way to fit, at its start."""
    train, held_out = _within_reach(candidate.encoding, train, held_out)
    coordinates = candidate.encoding.coordinates
    encoding = candidate.encoding.with_coordinates(coordinates.with_limits(candidate.encoding.line(train.tensor)))
    ground = _LoopFactory(encoding, candidate.resolved, train, held_out, seed, device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, Stream.WEIGHTS))
        joint = ground.joint()
        rows = TrainingRows(encoding, train.tensor, seed, weights=train.weight_tensor)
        _start(joint, encoding, rows, candidate.start, seed)
    return PreparedFit(candidate, encoding, ground.loop(joint), train, held_out)


@torch.no_grad()
def _start(joint: MixedDensity, encoding: Encoder, rows: TrainingRows, start: Start | None, seed: int) -> None:
    """Codes at their frequencies; data-dependent starts, layer by layer, then the mixture of what comes out."""
    joint.eval()
    first, weights = rows.epoch(0), None
    if rows.weighted:
        first, weights = first[:, :-1], first[:, -1]
    codes = joint.layout.split(first)[2]
    if joint.codes is not None:
        joint.codes.initialize(codes, torch.ones(len(codes)) if weights is None else weights)
    flow = joint.flow
    if flow is None:
        return
    before = z = joint.layout.split(first)[0]
    for position, layer in enumerate(flow.layers):
        assert isinstance(layer, Transform)
        layer.initialize(with_gaps(z, contexts(joint, first, position)))
        parts = zip(torch.split(z, SCORING_ROWS), contexts(joint, first, position), strict=True)
        z = torch.cat([layer(part, context)[0] for part, context in parts])
    if not isinstance(flow.base, bases.Mixture | bases.AutoregressiveMixture):
        return
    observed = with_gaps(z, contexts(joint, first, len(flow.layers)))
    if isinstance(flow.base, bases.AutoregressiveMixture):
        flow.base.network.select_parents(observed)
    if start is None:
        return
    mixture, shift, gate = start.mixture, start.shift, start.gate
    if not torch.allclose(z, before, rtol=1e-4, atol=1e-4):  # the layers do not start at the identity
        mixture = fit_mixture(observed, len(mixture.weights), seed=seed, ridge=start.ridge, weights=weights)
        shift = gate = None  # which belonged to the mixture before
    flow.base.gaussians.set(*mixture, gate, shift)


@dataclass(frozen=True)
class _LoopFactory:
    """What a loop stands on: the same for one at its start and for one that goes on."""

    encoding: Encoder
    resolved: config.Config
    train: RowSet
    held_out: RowSet
    seed: int
    device: torch.device | str

    def joint(self) -> MixedDensity:
        """The density, as torch's random numbers have it."""
        return build_mixed(self.resolved.flow, self.encoding.layout, self.encoding.numbers)

    def loop(self, joint: MixedDensity, compiling: Notice | None = None) -> Loop:
        """The loop over the rows, everything on the device; its steps are compiled if somebody takes the notices."""
        encoding, train, held_out, seed, device = self.encoding, self.train, self.held_out, self.seed, self.device
        rows = TrainingRows(encoding, train.tensor, seed, device, train.weight_tensor)
        spread = dequantization_shares(encoding, len(held_out), generator(seed, Stream.HELD_OUT_DEQUANTIZATION))
        held_rows, held_log_det = encoding.forward(held_out.tensor, spread)
        return Loop(
            joint.to(device),
            rows,
            held_rows.float().to(device),
            held_log_det,
            resolve.settings(self.resolved.train, rows=len(train)),
            seed,
            None if compiling is None else partial(compiled, notice=compiling),
            held_out.weight_tensor,
        )

    def continued(self, state: tuple[Mapping[str, Any], Mapping[str, Tensor]], compiling: Notice | None) -> Loop:
        """A loop over the same rows as the one that gave this state, from there."""
        with torch.random.fork_rng(devices=[]):
            joint = self.joint()
        loop = self.loop(joint, compiling)
        loop.restore(*state)
        return loop


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
