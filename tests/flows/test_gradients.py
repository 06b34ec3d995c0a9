"""The gradients that are written out, against automatic differentiation of plain formulas, in float64."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from flowcli.flows import Context
from flowcli.flows.bijections import Affine, Bijection, CircularSpline, Spline
from flowcli.flows.conditioners import MaskedNetwork
from flowcli.flows.conditioners.dropout import kept
from flowcli.flows.layers import Autoregressive
from tests.flows.cases import NETS, TRANSFORMS, masked, shaken
from tests.flows.plain import plain_affine, plain_circle, plain_interval

PAIRS = {
    "affine": (Affine(), plain_affine, 2, 9.0),
    "spline": (Spline(bins=5, bound=3.0), plain_interval, 14, 5.0),
    "circular-spline": (CircularSpline(bins=4), plain_circle, 13, 3.1),
}


@pytest.mark.parametrize("layout", ["planes outside", "planes inside", "one set for all rows"])
@pytest.mark.parametrize("scale", [0.3, 3.0, 30.0])
@pytest.mark.parametrize("name", PAIRS)
def test_a_bijection_has_the_gradient_of_its_formula(name: str, scale: float, layout: str) -> None:
    bijection, plain, planes, reach = PAIRS[name]
    assert isinstance(bijection, Bijection)
    generator = torch.Generator().manual_seed(3)
    x = reach * (2 * torch.rand(4, 60, generator=generator, dtype=torch.float64) - 1)
    shape = {
        "planes outside": (planes, 4, 60),
        "planes inside": (4, planes, 60),
        "one set for all rows": (planes, 4, 1),
    }
    theta = scale * torch.randn(shape[layout], generator=generator, dtype=torch.float64)
    if layout == "planes inside":
        theta = theta.transpose(0, 1)
    weights = torch.randn(2, 4, 60, generator=generator, dtype=torch.float64)
    found = []
    for forward in (bijection.forward, plain):
        inputs = (x.clone().requires_grad_(), theta.clone().requires_grad_())
        z, log_derivative = forward(inputs[0], inputs[1].expand(-1, 4, 60))
        total = (z * weights[0]).sum() + (log_derivative * weights[1]).sum()
        found.append((z, log_derivative, *torch.autograd.grad(total, inputs)))
    for ours, expected in zip(*found, strict=True):
        largest = float(expected.detach().abs().max())
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-11 * max(1.0, largest))


def plain_network(network: MaskedNetwork, x: Tensor, given: Tensor | None) -> Tensor:
    """The same network with torch's own operations, row by row of memory, masks and all."""
    layers = [network.first, *network.trunk["layers"], network.last]
    act = {"Relu": torch.relu, "Silu": nn.functional.silu, "Tanh": torch.tanh}[type(network.activation).__name__]
    value = nn.functional.linear(x, layers[0].weight * layers[0].mask, layers[0].bias)
    if network.context is not None:
        value = value + given @ network.context.weight.t()
    stream = value
    for number, layer in enumerate(layers[1:], 1):
        value = nn.functional.linear(act(value), layer.weight * layer.mask, layer.bias)
        if network.residual and number % 2 == 0 and layer is not network.last:
            value = stream = value + stream
    return value.view(len(x), -1, x.shape[1]).transpose(0, 1)


@pytest.mark.parametrize("activation", ["relu", "silu", "tanh"])
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize(("columns", "context", "width"), [(1, 0, 8), (3, 2, 40), (9, 0, 150), (40, 3, 200)])
def test_a_masked_network_has_the_gradient_of_its_formula(
    columns: int, context: int, width: int, residual: bool, activation: str
) -> None:
    network = shaken(
        MaskedNetwork(
            columns, 5, (width, width), residual=residual, activation=activation, dropout=0.0, context=context
        )
    )
    x = torch.randn(7, columns, dtype=torch.float64)
    given = torch.randn(7, context, dtype=torch.float64) if context else None
    probe = torch.randn(5, 7, columns, dtype=torch.float64)
    found = []
    for forward in (lambda a, b: network(a, Context(features=b)), lambda a, b: plain_network(network, a, b)):
        inputs = [t.clone().requires_grad_() for t in (x, given) if t is not None]
        out = forward(*inputs, *[None] * (2 - len(inputs)))
        weights = [p for p in network.parameters() if p.requires_grad]
        found.append((out, *torch.autograd.grad((out * probe).sum(), [*inputs, *weights])))
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("name", [name for name in TRANSFORMS if "autoregressive" in name or "coupling" in name])
def test_a_layer_has_the_gradient_of_its_parts(name: str, context: int) -> None:
    """The layer goes backward as a whole; network and bijection each by themselves are what it must agree with."""
    layer = shaken(TRANSFORMS[name](4, context))
    x = torch.randn(6, 4, dtype=torch.float64)
    given = torch.randn(6, context, dtype=torch.float64) if context else None
    probe = torch.randn(6, 4, dtype=torch.float64)

    def by_parts(row: Tensor, half: Context) -> tuple[Tensor, Tensor]:
        if isinstance(layer, Autoregressive):
            columns = row.flip(1).t() if layer.reverse else row.t()
            z, log_derivative = layer.bijection.forward(columns, layer.network.theta(columns, half))
            return (z.flip(0).t() if layer.reverse else z.t()), log_derivative.sum(0)
        seen = row[:, layer.passive].t()
        theta = layer.network.planes(layer.network.evaluate(seen, half), layer.bijection.parameters)
        transformed, log_derivative = layer.bijection.forward(row[:, layer.active].t(), theta)
        return row.index_copy(1, layer.active, transformed.t()), log_derivative.sum(0)

    found = []
    for forward in (layer, by_parts):
        row, half = x.clone().requires_grad_(), None if given is None else given.clone().requires_grad_()
        z, log_det = forward(row, Context(features=half))
        wanted = [t for t in (row, half, *layer.parameters()) if t is not None]
        gradients = torch.autograd.grad((z * probe).sum() + log_det.sum(), wanted, allow_unused=True)
        found.append((z, log_det, *gradients))
    for ours, expected in zip(*found, strict=True):
        if expected is None:
            assert ours is None or not ours.any()
        else:
            torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)


@torch.no_grad()
@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("name", ["affine", "spline"])
def test_the_inverse_in_one_pass_is_the_inverse_column_by_column(name: str, net: str, context: int) -> None:
    bijection: Bijection = {"affine": Affine(), "spline": Spline(bins=5, bound=3.0)}[name]
    layer = Autoregressive(bijection, shaken(masked(9, bijection.parameters, net, context)))
    z = 2 * torch.randn(50, 9, dtype=torch.float64)
    half = Context(features=torch.randn(50, context, dtype=torch.float64) if context else None)
    x = torch.zeros_like(z)
    for column in range(9):
        theta = layer.network(x, half)[:, :, column]
        x[:, column] = bijection.inverse(z[:, column], theta)[0]
    torch.testing.assert_close(layer.inverse(z, half)[0], x, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_a_frozen_network_gives_the_same_until_it_is_trained() -> None:
    network = shaken(masked(6, 4, "residual", 0))
    x = torch.randn(5, 6, dtype=torch.float64)
    before = network(x)
    network.freeze()
    assert torch.equal(network(x), before)
    network.last.bias.add_(1)
    network.train()
    network.eval()
    torch.testing.assert_close(network(x), before + 1)


@torch.no_grad()
def test_a_frozen_network_takes_the_weights_it_loads() -> None:
    network, other = (shaken(masked(6, 4, "residual", 0)).eval() for _ in range(2))
    x = torch.randn(5, 6, dtype=torch.float64)
    network.freeze()
    other.last.bias.add_(1)
    network.load_state_dict(other.state_dict())
    assert torch.equal(network(x), other(x))


def test_a_frozen_network_follows_its_dtype() -> None:
    network = masked(3, 2, "plain", 0).eval()
    network.freeze()
    assert network.double()(torch.randn(2, 3, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.97])
@pytest.mark.parametrize("shape", [(1,), (7, 3), (400, 301)])
def test_dropped_units_have_their_share(shape: tuple[int, ...], share: float) -> None:
    torch.manual_seed(0)
    mask = kept(torch.empty(shape), share)
    assert mask.shape == shape
    assert all(value in (0.0, pytest.approx(1 / (1 - share), rel=1e-3)) for value in mask.unique().tolist())
    if mask.numel() > 1000:
        assert float((mask == 0).float().mean()) == pytest.approx(share, abs=4 * math.sqrt(share / mask.numel()) + 1e-9)
        rows = (mask == 0).double()
        # Four neighbours come from one random number, and must not know of each other.
        if share > 0:
            for lag in (1, 2, 3):
                both = torch.corrcoef(torch.stack([rows.flatten()[:-lag], rows.flatten()[lag:]]))[0, 1]
                assert abs(float(both)) < 0.02


def test_dropout_is_repeatable() -> None:
    masks = []
    for _ in range(2):
        torch.manual_seed(4)
        masks.append(kept(torch.empty(9, 11), 0.3))
    assert torch.equal(*masks)
    assert all(not torch.equal(one, two) for one, two in itertools.pairwise([masks[0], kept(torch.empty(9, 11), 0.3)]))
