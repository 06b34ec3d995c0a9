"""Mixtures of Gaussians and of logistics against plain formulas: values and gradients, far out and in float32."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from flowcli.flows import Context
from flowcli.flows.bases import AutoregressiveMixture, Base, Gaussians, Mixture
from flowcli.flows.bijections import MixtureCdf, mixture_cdf
from flowcli.flows.kernels import autoregressive_mixture
from flowcli.flows.kernels.bits import exp2_
from tests.flows.cases import BASES, TRANSFORMS, masked, shaken
from tests.flows.plain import plain_cdf


@pytest.fixture(params=[None, 1, 500], ids=["one block", "smallest blocks", "uneven blocks"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param is not None:
        monkeypatch.setattr(autoregressive_mixture, "BLOCK", request.param)


def plain_residuals(gaussians: Gaussians, z: Tensor) -> Tensor:
    factors = torch.tril(gaussians.below_diagonal, -1) + torch.diag_embed(gaussians.log_diagonal.exp())
    return torch.einsum("kij,kbj->kbi", factors, z - gaussians.means[:, None])


def plain_log_prob(base: Base, z: Tensor, condition: Context) -> Tensor:
    assert isinstance(base, Mixture | AutoregressiveMixture)
    gaussians = base.gaussians
    e = plain_residuals(gaussians, z)
    log_diagonal = gaussians.log_diagonal[:, None]
    log_normals = log_diagonal - 0.5 * e * e - 0.5 * math.log(2 * math.pi)
    if isinstance(base, Mixture):
        return torch.logsumexp(torch.log_softmax(gaussians.log_weights, 0)[:, None] + log_normals.sum(-1), 0)
    extra, shift, raw = base.network(z, condition).chunk(3)
    log_scale = raw / (1 + raw.abs() / 7)
    before = torch.cumsum(pad(log_normals[..., :-1], (1, 0)), -1)
    log_weights = torch.log_softmax(extra + gaussians.log_weights[:, None, None] + before, 0)
    corrected = (e - shift) * torch.exp(-log_scale)
    log_corrected = log_diagonal - log_scale - 0.5 * corrected**2 - 0.5 * math.log(2 * math.pi)
    return torch.logsumexp(log_weights + log_corrected, 0).sum(-1)


def mixture_of(kind: str, columns: int, components: int, context: int, scale: float) -> Base:
    if kind == "mixture":
        return shaken(Mixture(columns, components), scale)
    return shaken(AutoregressiveMixture(columns, components, masked(columns, 3 * components, kind, context)), scale)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("width", [1.0, 30.0, 1e4])
@pytest.mark.parametrize("scale", [0.5, 3.0])
@pytest.mark.parametrize(("columns", "components", "context"), [(1, 1, 0), (1, 4, 2), (3, 1, 2), (7, 5, 0), (7, 5, 2)])
@pytest.mark.parametrize("kind", ["mixture", "plain", "residual"])
def test_a_mixture_has_the_gradient_of_its_formula(
    kind: str, columns: int, components: int, context: int, scale: float, width: float
) -> None:
    base = mixture_of(kind, columns, components, context, scale)
    generator = torch.Generator().manual_seed(2)
    z = width * torch.randn(40, columns, generator=generator, dtype=torch.float64)
    given = torch.randn(40, context, generator=generator, dtype=torch.float64) if context else None
    probe = torch.randn(40, generator=generator, dtype=torch.float64)
    found = []
    for log_prob in (base.log_prob, lambda a, b: plain_log_prob(base, a, b)):
        row, condition = z.clone().requires_grad_(), None if given is None else given.clone().requires_grad_()
        out = log_prob(row, Context(features=condition))
        wanted = [t for t in (row, condition, *base.parameters()) if t is not None]
        found.append((out, *torch.autograd.grad((out * probe).sum(), wanted, allow_unused=True)))
    for ours, expected in zip(*found, strict=True):
        if expected is None:
            assert ours is None or not ours.any()
        else:
            largest = float(expected.detach().abs().max())
            torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-11 * max(1.0, largest))


@torch.no_grad()
@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("name", [name for name in BASES if "mixture" in name])
def test_a_mixture_is_the_same_with_and_without_a_gradient(name: str) -> None:
    base = shaken(BASES[name](6, 0))
    z = 3 * torch.randn(200, 6, dtype=torch.float64)
    without = base.log_prob(z)
    with torch.enable_grad():
        torch.testing.assert_close(without, base.log_prob(z).detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("width", [1.0, 30.0, 1e3])
@pytest.mark.parametrize("name", [name for name in BASES if "mixture" in name])
def test_a_mixture_in_float32_is_as_exact_as_its_formula(name: str, width: float) -> None:
    torch.manual_seed(0)
    rough = shaken(BASES[name](20, 0)).float()
    exact = copy.deepcopy(rough).double()
    z = width * torch.randn(500, 20, generator=torch.Generator().manual_seed(0))
    found = []
    for base, log_prob in (
        (rough, rough.log_prob),
        (rough, lambda row: plain_log_prob(rough, row, Context())),
        (exact, lambda row: plain_log_prob(exact, row, Context())),
    ):
        row = z.to(next(base.parameters())).requires_grad_()
        out = log_prob(row)
        gradients = torch.autograd.grad(out.sum(), [row, *base.parameters()])
        found.append([out.detach().double(), *(gradient.double() for gradient in gradients)])
    for number, (ours, formula, expected) in enumerate(zip(*found, strict=True)):
        # Each log-density by itself, and gradients as a whole: which component is the best hangs on the last digits.
        size = 1 + expected.abs() if number == 0 else 1 + expected.abs().max()
        errors, those_of_formula = (((values - expected).abs() / size).max() for values in (ours, formula))
        assert float(errors) < (1e-5 if number == 0 else 1e-4) + 4 * float(those_of_formula)


def test_a_component_out_of_the_question_has_a_gradient_of_zero() -> None:
    base = AutoregressiveMixture(2, 2, masked(2, 6, "residual", 0))
    with torch.no_grad():
        base.gaussians.means.copy_(torch.tensor([[0.0, 0.0], [-1e6, 1e6]]))
        base.gaussians.log_diagonal[1] = 10.0
    base.log_prob(torch.zeros(3, 2)).sum().backward()
    for parameter in (base.gaussians.means, base.gaussians.log_diagonal, base.gaussians.log_weights):
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
    assert base.gaussians.means.grad is not None
    assert not base.gaussians.means.grad[1].any()


@torch.no_grad()
def test_residuals_that_overflow_leave_other_components_alone() -> None:
    base = AutoregressiveMixture(3, 2, masked(3, 6, "residual", 0))
    base.gaussians.means.zero_()
    base.gaussians.log_diagonal[1] = 20.0  # its squared residuals are more than float32 holds
    z = torch.full((2, 3), 1e12)
    expected = copy.deepcopy(base).double().log_prob(z.double())
    torch.testing.assert_close(base.log_prob(z).double(), expected, rtol=1e-5, atol=0)


def wild(components: int, shape: tuple[int, ...], scale: float, layout: str = "planes outside") -> Tensor:
    generator = torch.Generator().manual_seed(components)
    if layout == "planes inside":
        shape = (shape[0], 3 * components, *shape[1:])
        return scale * torch.randn(shape, generator=generator, dtype=torch.float64).transpose(0, 1)
    if layout == "one set for all rows":
        shape = (*shape[:-1], 1)
    if layout == "one set for all columns":
        shape = (1, *shape[1:])
    return scale * torch.randn(3 * components, *shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    "layout", ["planes outside", "planes inside", "one set for all rows", "one set for all columns"]
)
@pytest.mark.parametrize("scale", [0.3, 3.0, 30.0])
@pytest.mark.parametrize("components", [1, 5])
def test_a_mixture_cdf_has_the_gradient_of_its_formula(components: int, scale: float, layout: str) -> None:
    bijection = MixtureCdf(components)
    generator = torch.Generator().manual_seed(3)
    x = 40 * torch.rand(4, 60, generator=generator, dtype=torch.float64) - 20
    theta = wild(components, (4, 60), scale, layout)
    probe = torch.randn(2, 4, 60, generator=generator, dtype=torch.float64)
    found = []
    for forward in (bijection.forward, plain_cdf):
        inputs = (x.clone().requires_grad_(), theta.clone().requires_grad_())
        z, log_derivative = forward(*inputs)
        total = (z * probe[0]).sum() + (log_derivative * probe[1]).sum()
        found.append((z, log_derivative, *torch.autograd.grad(total, inputs)))
    for ours, expected in zip(*found, strict=True):
        largest = float(expected.detach().abs().max())
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-11 * max(1.0, largest))


def test_a_mixture_cdf_has_its_gradient_at_a_component_s_own_location() -> None:
    x, theta = torch.zeros(3, dtype=torch.float64), torch.zeros(12, 3, dtype=torch.float64)
    found = []
    for forward in (MixtureCdf(4).forward, plain_cdf):
        inputs = (x.clone().requires_grad_(), theta.clone().requires_grad_())
        z, log_derivative = forward(*inputs)
        found.append(torch.autograd.grad(z.sum() + log_derivative.sum(), inputs))
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("scale", [0.5, 3.0, 20.0])
def test_a_mixture_cdf_in_float32_is_as_exact_as_its_formula(scale: float) -> None:
    theta, x = wild(6, (3, 700), scale).float(), torch.linspace(-30, 30, 700).expand(3, -1)
    exact = plain_cdf(x.double(), theta.double())
    ours, plain = MixtureCdf(6).forward(x, theta), plain_cdf(x, theta)
    for found, formula, expected in zip(ours, plain, exact, strict=True):
        allowed = 1e-6 + 3 * float(((formula - expected).abs() / (1 + expected.abs())).max())
        assert float(((found - expected).abs() / (1 + expected.abs())).max()) < allowed


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_mixture_cdf_is_exact_in_tails_and_gaps(dtype: torch.dtype) -> None:
    """Two narrow components far apart: log F, log(1 - F) and log f all are thousands between them and beyond."""
    theta = torch.zeros(6, 1, dtype=dtype)
    theta[2], theta[3] = -200.0, 100.0  # with their gains of a condition and of one and a condition: -100 and 150
    theta[4], theta[5] = -40.0, -40 / 3  # log-scales of -4
    x = torch.tensor([-1e4, -130.0, 0.0, 30.0, 200.0, 1e5], dtype=dtype)
    expected = plain_cdf(x.double(), theta.double())
    # All logarithms are about |t|, of which float32 has seven digits.
    allowed = torch.finfo(dtype).eps * (1 + math.exp(4) * (x.abs() + 150)).double()
    for found, value in zip(MixtureCdf(2).forward(x, theta), expected, strict=True):
        assert ((found - value).abs() <= allowed).all()


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.5, 3.0, 20.0])
@pytest.mark.parametrize("components", [1, 2, 6])
def test_the_inverse_of_a_mixture_cdf_misses_by_rounding_alone(
    components: int, scale: float, dtype: torch.dtype
) -> None:
    bijection, theta = MixtureCdf(components), wild(components, (3, 400), scale).to(dtype)
    z = torch.linspace(-30, 30, 400, dtype=dtype).expand(3, -1)
    x, log_derivative = bijection.inverse(z, theta)
    # The value at x, and what the rounding of x makes of it.
    again, slope = bijection.forward(x.double(), theta.double())
    precision = torch.finfo(dtype).eps
    allowed = 20 * precision * (1 + z.abs() + torch.exp(slope) * x.abs())
    assert ((again - z).abs() <= allowed * (1 + theta.abs().amax(0))).all()
    torch.testing.assert_close(
        log_derivative.double(), -slope, rtol=1e-3, atol=1e-2 if dtype == torch.float32 else 1e-6
    )


@torch.no_grad()
def test_the_inverse_of_a_mixture_cdf_takes_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    theta, z = wild(8, (10, 512), 0.5).float(), torch.randn(10, 512)
    values = 0
    evaluate = mixture_cdf.value_and_log_slope

    def counted(x: Tensor, components: mixture_cdf.Components) -> tuple[Tensor, Tensor]:
        nonlocal values
        values += x.numel()
        return evaluate(x, components)

    monkeypatch.setattr(mixture_cdf, "value_and_log_slope", counted)
    MixtureCdf(8).inverse(z, theta)
    assert values < 7 * z.numel()


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_exponentials_are_exact_or_zero(dtype: torch.dtype) -> None:
    bits = torch.tensor([0.0, -1.5, -60.0, -140.0, -1e4, -1e30, -torch.inf], dtype=dtype)
    expected = torch.exp2(bits.double()).to(dtype)
    found = exp2_(bits.clone())
    kept = found > 0
    torch.testing.assert_close(found[kept], expected[kept])
    assert (expected[~kept] < torch.finfo(dtype).eps ** 2).all()
    assert (found[kept] > torch.finfo(dtype).tiny ** 0.6).all()


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own doing
@pytest.mark.parametrize("part", ["base", "bijection", "layer"])
def test_a_compiler_takes_it_as_one_graph(part: str) -> None:
    base, bijection = shaken(BASES["autoregressive-mixture"](3, 0)), MixtureCdf(3)
    layer = shaken(TRANSFORMS["autoregressive-affine-plain"](3, 0))
    z = torch.randn(20, 3, dtype=torch.float64)
    theta = wild(3, (20, 3), 1.0).requires_grad_()

    def total(z: Tensor, theta: Tensor) -> Tensor:
        if part == "base":
            return base.log_prob(z).sum()
        value, log_derivative = bijection.forward(z, theta) if part == "bijection" else layer(z)
        return (value * value).sum() + log_derivative.sum()

    compiled = torch.compile(total, backend="aot_eager", fullgraph=True, dynamic=False)
    wanted = {"base": [*base.parameters()], "bijection": [theta], "layer": [*layer.parameters()]}[part]
    for ours, expected in zip(
        *(torch.autograd.grad(f(z, theta), wanted, allow_unused=True) for f in (compiled, total)), strict=True
    ):
        if expected is not None:
            torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)
