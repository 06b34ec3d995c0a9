"""Codes, angles and coordinates together: masses of one, samples from their own density, what is missing left out."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy import stats

from flowcli import config
from flowcli.flows import Context, Layout, build_mixed, mixed_blueprint
from flowcli.flows.conditioners import MaskedNetwork
from flowcli.flows.mixed.categorical import CategoricalDensity
from flowcli.flows.mixed.digits import LARGEST, digits_of
from flowcli.flows.mixed.one_hot import OneHot
from tests.flows.cases import NETS, shaken

ARCHITECTURE = config.from_mapping(
    {
        "flow": {
            "layers": [{"autoregressive": {"transform": {"spline": {"bins": 4}}, "net": {"hidden": [12, 12]}}}],
            "base": {"autoregressive_mixture": {"components": 2, "net": {"hidden": [12]}}},
            "discrete": {"net": {"hidden": [16], "dropout": 0.0}},
            "circular": {"bins": 5, "net": {"hidden": [16], "dropout": 0.0}},
        }
    }
).flow


def codes_of(outcomes, numbers=None, context: int = 0) -> CategoricalDensity:
    numbers = numbers or [None] * len(outcomes)
    one_hot = OneHot(outcomes, numbers)
    sizes = [digit.size for digit in one_hot.digits]
    network = MaskedNetwork(len(sizes), sizes, context=context, widths=one_hot.widths, **NETS["residual"])
    return shaken(CategoricalDensity(one_hot, network))


def all_codes(outcomes) -> torch.Tensor:
    return torch.tensor(list(itertools.product(*(range(count) for count in outcomes))))


@torch.no_grad()
@pytest.mark.parametrize("outcomes", [(1,), (2,), (5,), (3, 2, 4), (LARGEST + 7,), (2, LARGEST + 1, 3)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_probabilities_of_all_codes_sum_to_one(outcomes: tuple[int, ...], smoothing: float) -> None:
    codes = codes_of(outcomes)
    codes.smoothing.fill_(smoothing)
    log_prob = codes.log_prob(codes.one_hot(all_codes(outcomes)))
    assert float(log_prob.exp().sum()) == pytest.approx(1.0, abs=1e-9)


@torch.no_grad()
def test_a_softmax_is_what_the_network_says() -> None:
    codes = codes_of((3, 4))
    every = all_codes((3, 4))
    hot = codes.one_hot(every)
    logits = codes.network.evaluate(hot, Context())
    squashed = logits / (1 + logits.abs() / 30)
    first = torch.log_softmax(squashed[:3], 0).gather(0, every[:, 0][None])[0]
    second = torch.log_softmax(squashed[3:], 0).gather(0, every[:, 1][None])[0]
    torch.testing.assert_close(codes.log_prob(hot), first + second, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_digits_tell_every_code_apart() -> None:
    outcomes = (2, LARGEST + 700, 3)
    codes = codes_of(outcomes)
    every = torch.tensor([[0, code, 1] for code in range(outcomes[1])])
    assert len(torch.unique(codes.one_hot(every), dim=1).t()) == outcomes[1]
    assert [digit.code for digit in digits_of(outcomes)] == [0, 1, 1, 2]


@torch.no_grad()
@pytest.mark.parametrize("outcomes", [(3, 4), (LARGEST + 5,)])
def test_drawn_codes_have_their_probabilities(outcomes: tuple[int, ...]) -> None:
    numbers = [torch.arange(count, dtype=torch.float64) / count for count in outcomes]
    codes = codes_of(outcomes, numbers, context=2)
    codes.smoothing.fill_(0.05)
    rows = 200_000
    half = Context(features=torch.tensor([[0.5, -1.0]], dtype=torch.float64))
    drawn = codes.sample(rows, torch.Generator().manual_seed(0), Context(half.features.expand(rows, 2)))
    every = all_codes(outcomes)
    expected = rows * codes.log_prob(codes.one_hot(every), Context(half.features.expand(len(every), 2))).exp()
    index = torch.zeros(rows, dtype=torch.long)
    for column, count in enumerate(outcomes):
        index = index * count + drawn[:, column]
    found = torch.bincount(index, minlength=len(every)).double()
    frequent = expected > 5
    statistic = ((found - expected).square() / expected)[frequent].sum()
    assert stats.chi2(int(frequent.sum()) - 1).sf(float(statistic)) > 1e-4
    assert int(found.sum()) == rows


@torch.no_grad()
def test_codes_start_at_the_frequencies() -> None:
    generator = torch.Generator().manual_seed(1)
    network = MaskedNetwork(2, [3, 2], widths=[3, 2], **NETS["residual"])
    codes = CategoricalDensity(OneHot((3, 2), [None, None]), network).double()
    rows = torch.stack([torch.randint(0, count, (1000,), generator=generator) for count in (2, 2)], 1)
    codes.initialize(rows, torch.ones(1000))
    shares = codes.log_prob(codes.one_hot(all_codes((3, 2)))).exp().view(3, 2).sum(1)
    counted = torch.bincount(rows[:, 0], minlength=3).double()
    torch.testing.assert_close(shares, (counted + 0.5) / 1001.5, rtol=0.02, atol=1e-4)
    assert float(shares[2]) > 1e-4  # never seen, but possible


def layout() -> Layout:
    return Layout(2, 1, (2, 3), 2, coordinate_codes=(0, None), angle_codes=(None,))


def joint():
    torch.manual_seed(0)
    return shaken(build_mixed(ARCHITECTURE, layout(), [None, torch.tensor([0.0, 1.0, 2.0])]).double(), scale=0.3)


@torch.no_grad()
def test_the_whole_integrates_to_one() -> None:
    density = joint()
    u = torch.linspace(-4.5, 4.5, 91, dtype=torch.float64)
    grid, lengths = torch.sinh(u), torch.cosh(u) * float(u[1] - u[0])
    circle = (torch.arange(36, dtype=torch.float64) / 36 * 2 - 1) * math.pi
    arc = 2 * math.pi / 36
    total = 0.0
    for one, two in itertools.product(range(2), range(3)):
        first = (grid, lengths) if one == 0 else (torch.zeros(1).double(), torch.ones(1).double())
        rows = torch.cartesian_prod(first[0], grid, circle)
        weights = torch.cartesian_prod(first[1], lengths, torch.full_like(circle, arc)).prod(1)
        fixed = torch.tensor([one, two, 0.3, -0.6], dtype=torch.float64).expand(len(rows), 4)
        total += float(density.log_prob(torch.cat([rows, fixed], 1)).exp() @ weights)
    assert total == pytest.approx(1.0, abs=1e-3)


@torch.no_grad()
def test_terms_add_up() -> None:
    density = joint()
    rows = torch.randn(50, 7, dtype=torch.float64)
    rows[:, 3], rows[:, 4] = torch.arange(50) % 2, torch.arange(50) % 3
    rows[rows[:, 3] == 1, 0] = 0.0
    terms = density.terms(rows)
    torch.testing.assert_close(sum(terms[1:]), density.log_prob(rows), rtol=1e-12, atol=1e-12)


def test_gradients_are_those_of_differences() -> None:
    density = joint()
    rows = torch.randn(12, 7, dtype=torch.float64)
    rows[:, 3], rows[:, 4] = torch.arange(12) % 2, torch.arange(12) % 3
    rows[rows[:, 3] == 1, 0] = 0.0
    parameters = [p for p in density.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(density.log_prob(rows).sum(), parameters)
    generator = torch.Generator().manual_seed(2)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            moved = []
            for sign in (1, -1):
                parameter.add_(sign * 1e-6 * direction)
                moved.append(float(density.log_prob(rows).sum()))
                parameter.sub_(sign * 1e-6 * direction)
        expected = (moved[0] - moved[1]) / 2e-6
        assert float((gradient * direction).sum()) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_the_size_is_counted_before_it_is_built() -> None:
    numbers = [None, torch.tensor([0.0, 1.0, 2.0])]
    built = build_mixed(ARCHITECTURE, layout(), numbers)
    assert mixed_blueprint(ARCHITECTURE, layout(), numbers).parameters == sum(p.numel() for p in built.parameters())
