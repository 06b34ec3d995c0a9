"""From the rows of a table and a config to a fit at its start."""

from __future__ import annotations

import torch

from flowcli.config import schema as config
from flowcli.encoding import Encoder
from flowcli.random import Stream, derived_seed
from flowcli.table import Table
from flowcli.training.prepare.candidates import PreparedFit, StartCandidate, StartCandidates, best
from flowcli.training.prepare.checks import (
    Notice,
    check_size,
    checked_table,
    say_left_out,
    trainable,
    warn_of_few_rows,
    warn_of_outliers,
    within_reach,
)
from flowcli.training.prepare.fitting import Fitting, fingerprint
from flowcli.training.prepare.initialize import initialize
from flowcli.training.prepare.loop_factory import LoopFactory
from flowcli.training.prepare.row_sets import RowSet
from flowcli.training.prepare.split import split_rows
from flowcli.training.prepare.tail_index import tail_indices


def prepare_fit(
    table: Table,
    request: config.Config,
    *,
    seed: int = 0,
    held_out_seed: int | None = None,
    device: torch.device | str = "cpu",
    valid: Table | None = None,
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
        compile: Run the steps through torch's compiler, if there is one.
        time_limit: Seconds that the fit will have; trials take a small share of them.
        notice: Takes lines for the user.

    Raises:
        DataError: The rows cannot carry a density.
        ConfigError: The config asks for something impossible.
        NumericsError: No start could be found.
    """
    split_seed = seed if held_out_seed is None else held_out_seed
    table = checked_table(table, split_seed, notice)
    train, held_out = split_rows(table, valid, request.train.valid, split_seed, notice)
    encoder = Encoder.fit(table.schema, train.prepared)
    warn_of_few_rows(encoder, train, notice)
    train, held_out = trainable(encoder, request, train, held_out, notice)
    warn_of_outliers(encoder, train, notice)
    index = tail_indices(encoder.coordinates, encoder.continuous_numbers(train.prepared))
    encoder = encoder.with_coordinates(encoder.coordinates.with_tails(index))
    check_size(encoder, request, len(train))
    candidates = StartCandidates(request, encoder, train, held_out, seed)

    def begin(candidate: StartCandidate) -> PreparedFit:
        return _at_start(candidate, train, held_out, seed, device)

    fit = best(candidates, begin, notice, time_limit)
    say_left_out((train, held_out), (fit.train, fit.held_out), notice)
    loop, resolved, start = fit.loop, fit.candidate.resolved, fit.candidate.start
    if compile:
        factory = LoopFactory(fit.encoder, resolved, fit.train, fit.held_out, seed, device)
        loop = factory.continued(loop.state(), notice)
    ridge = None if start is None else start.ridge
    mark = fingerprint(table, valid)
    return Fitting(request, resolved, fit.encoder, loop, fit.train, fit.held_out, seed, mark, ridge)


def _at_start(
    candidate: StartCandidate, train: RowSet, held_out: RowSet, seed: int, device: torch.device | str
) -> PreparedFit:
    """Set up one candidate at its start."""
    train, held_out = within_reach(candidate.encoder, train, held_out)
    numbers = candidate.encoder.continuous_numbers(train.prepared)
    encoder = candidate.encoder.with_coordinates(candidate.encoder.coordinates.with_limits(numbers))
    factory = LoopFactory(encoder, candidate.resolved, train, held_out, seed, device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, Stream.WEIGHTS))
        joint = factory.joint()
        rows, weights = factory.rows.epoch(0).cpu(), None
        if factory.rows.weighted:
            rows, weights = rows[:, :-1], rows[:, -1]
        initialize(joint, rows, weights, candidate.start, seed)
    return PreparedFit(candidate, encoder, factory.loop(joint), train, held_out)
