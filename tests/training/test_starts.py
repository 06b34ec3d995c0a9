"""Where fits start: folds instead of luck where rows are few."""

from __future__ import annotations

import math

import numpy as np
import torch

from flowcli import config
from flowcli.encoding import Encoder
from flowcli.table import Schema
from flowcli.table.schema import Column
from flowcli.training.prepare import resolve
from flowcli.training.prepare.starts import FEW_HELD_OUT, Sample, choose_starts


def sample(values: torch.Tensor) -> Sample:
    return Sample(values, torch.zeros(len(values), 0, dtype=torch.float64), slice(0, 0), None)


def two_heaps(count: int, seed: int) -> torch.Tensor:
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.normal(size=(count, 2)) + 6.0 * random.integers(0, 2, size=(count, 1)))


def test_few_held_out_rows_do_not_decide_alone() -> None:
    train = two_heaps(80, 0)
    coordinates = Encoder.fit(Schema((Column("a"), Column("b"))), train).coordinates
    between = torch.full((2, 2), 3.0, dtype=torch.float64)  # where one wide heap has more of its mass than two have
    (start,) = choose_starts([coordinates], sample(train), sample(between), components={1: 0.0, 2: 0.0}, seed=0)
    assert len(start.mixture.weights) == 2
    assert math.isfinite(start.held_out_nats)
    many = between[:1].repeat(FEW_HELD_OUT, 1)
    (start,) = choose_starts([coordinates], sample(train), sample(many), components={1: 0.0, 2: 0.0}, seed=0)
    assert len(start.mixture.weights) == 1


def test_more_components_have_to_gain_what_is_asked_of_them() -> None:
    train, held = two_heaps(2000, 0), two_heaps(500, 1)
    coordinates = Encoder.fit(Schema((Column("a"), Column("b"))), train).coordinates
    for least, result in ((0.0, 2), (0.3, 2), (3.0, 1)):  # two heaps six apart: about half a nat
        components = {1: 0.0, 2: least}
        (start,) = choose_starts([coordinates], sample(train), sample(held), components=components, seed=0)
        assert len(start.mixture.weights) == result


def test_many_components_are_tried_where_rows_are_many() -> None:
    base = config.load("auto", []).flow.base
    assert max(resolve.candidate_components(base, 39_000, 7)) == 32
    assert max(resolve.candidate_components(base, 13_000, 10)) == 8
    assert max(resolve.candidate_components(base, 20, 10)) == 1
    assert resolve.candidate_components(base, 39_000, 7)[32] == resolve.WORTH
    assert resolve.candidate_components(base, 39_000, 2)[32] == 0.0  # in few columns they are no burden


def test_copies_of_a_row_are_in_one_fold_and_rows_without_weight_in_none() -> None:
    random = np.random.default_rng(0)
    distinct = torch.from_numpy(random.normal(size=(60, 3)))
    coordinates = Encoder.fit(Schema((Column("a"), Column("b"), Column("c"))), distinct).coordinates
    held = sample(torch.from_numpy(random.normal(size=(5, 3))))
    copied = sample(distinct.repeat(6, 1))
    (start,) = choose_starts([coordinates], copied, held, components=dict.fromkeys([1, 2, 4, 8], 0.0), seed=0)
    assert len(start.mixture.weights) <= 2
    for seed in range(5):
        weights = torch.zeros(60, dtype=torch.float64)
        weights[torch.randperm(60, generator=torch.Generator().manual_seed(seed))[:12]] = 1.0
        few = Sample(distinct, torch.zeros(60, 0, dtype=torch.float64), slice(0, 0), weights)
        (start,) = choose_starts([coordinates], few, held, components={1: 0.0}, seed=seed)
        assert math.isfinite(start.held_out_nats)


def test_folds_score_quantile_maps_that_have_not_seen_them() -> None:
    train, test = (torch.from_numpy(np.random.default_rng(seed).normal(size=(60, 3))) for seed in (0, 1))
    schema = Schema((Column("a"), Column("b"), Column("c")))
    plain = Encoder.fit(schema, train).coordinates
    mapped = plain.with_marginal(train)
    (start,) = choose_starts([mapped], sample(train), sample(test[:1]), components={1: 0.0}, seed=0)
    optimistic = mapped.forward(train)
    nats = start.mixture.log_prob(optimistic[0]) + optimistic[1]
    assert start.held_out_nats < float(nats.mean()) - 0.1
