"""What every layer promises, over the one table of constructors, in float64."""

from __future__ import annotations

import pytest
import torch
from torch.autograd.functional import jacobian

from flowcli.flows import Context
from tests.flows.cases import MIXING, TRANSFORMS, shaken

ALL = {**TRANSFORMS, **MIXING}
SHAPES = [(1, 0), (2, 0), (5, 0), (5, 2)]

pytestmark = [pytest.mark.parametrize(("columns", "context"), SHAPES)]


def rows(count: int, columns: int, context: int, width: float = 2.0) -> tuple[torch.Tensor, Context]:
    generator = torch.Generator().manual_seed(count + 10 * columns)
    x = width * torch.randn(count, columns, generator=generator, dtype=torch.float64)
    given = torch.randn(count, context, generator=generator, dtype=torch.float64) if context else None
    return x, Context(features=given)


@pytest.mark.parametrize("name", ALL)
def test_inverse_undoes_forward(name: str, columns: int, context: int) -> None:
    layer = shaken(ALL[name](columns, context))
    x, half = rows(200, columns, context)
    z, log_det = layer(x, half)
    back, inverse_log_det = layer.inverse(z, half)
    torch.testing.assert_close(back, x, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(inverse_log_det, -log_det, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_forward_undoes_inverse(name: str, columns: int, context: int) -> None:
    layer = shaken(ALL[name](columns, context))
    z, half = rows(200, columns, context)
    x, inverse_log_det = layer.inverse(z, half)
    again, log_det = layer(x, half)
    torch.testing.assert_close(again, z, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(log_det, -inverse_log_det, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_log_det_is_that_of_the_autograd_jacobian(name: str, columns: int, context: int) -> None:
    layer = shaken(ALL[name](columns, context))
    x, half = rows(6, columns, context)
    _, log_det = layer(x, half)
    for i in range(len(x)):
        own = Context(features=None if half.features is None else half.features[i : i + 1])
        matrix = jacobian(lambda row, own=own: layer(row[None], own)[0][0], x[i])
        torch.testing.assert_close(log_det[i], torch.linalg.slogdet(matrix)[1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_starts_at_the_identity(name: str, columns: int, context: int) -> None:
    layer = TRANSFORMS[name](columns, context).double()
    x, half = rows(50, columns, context)
    z, log_det = layer(x, half)
    torch.testing.assert_close(z, x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(log_det, torch.zeros_like(log_det), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_a_row_does_not_depend_on_its_batch(name: str, columns: int, context: int) -> None:
    layer = shaken(ALL[name](columns, context))
    x, half = rows(7, columns, context)
    z, log_det = layer(x, half)
    own = Context(features=None if half.features is None else half.features[3:4])
    one, one_log_det = layer(x[3:4], own)
    torch.testing.assert_close(one, z[3:4], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(one_log_det, log_det[3:4], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("where", ["far", "edges", "zero"])
def test_values_and_gradients_are_finite(name: str, columns: int, context: int, where: str) -> None:
    layer = shaken(ALL[name](columns, context))
    spots = {"far": [1e4, -1e8, 1e15], "edges": [-4.0, -3.0, 3.0, 4.0], "zero": [0.0, -0.0, 1e-300]}[where]
    x = torch.tensor(spots, dtype=torch.float64)[:, None].repeat(1, columns).requires_grad_()
    _, half = rows(len(spots), columns, context)
    z, log_det = layer(x, half)
    (z.sum() + log_det.sum()).backward()
    assert z.isfinite().all()
    assert log_det.isfinite().all()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in layer.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if "autoregressive" in name or "coupling" in name])
def test_context_changes_the_map(name: str, columns: int, context: int) -> None:
    if not context:
        pytest.skip("needs a context")
    layer = shaken(TRANSFORMS[name](columns, context))
    x, half = rows(5, columns, context)
    assert half.features is not None
    z, _ = layer(x, half)
    other, _ = layer(x, Context(features=half.features + 1))
    transformed = range(columns) if "autoregressive" in name else range(1 if "odd" in name else 0, columns, 2)
    for column in transformed:
        assert not torch.allclose(z[:, column], other[:, column], atol=1e-6), f"column {column} ignores the context"


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if "autoregressive" in name])
def test_column_i_sees_only_those_before_it(name: str, columns: int, context: int) -> None:
    layer = shaken(TRANSFORMS[name](columns, context))
    x, half = rows(1, columns, context, width=0.5)  # inside of every spline's bound
    matrix = jacobian(lambda row: layer(row[None], half)[0][0], x[0])
    if "reverse" in name:
        matrix = matrix.flip(0, 1)
    assert torch.equal(matrix, torch.tril(matrix))
    if columns > 1 and "narrow" not in name:
        assert (matrix[torch.tril_indices(columns, columns, -1).unbind()] != 0).all(), "a dependence is missing"


@pytest.mark.parametrize("name", ALL)
def test_float32_stays_close_to_float64(name: str, columns: int, context: int) -> None:
    layer = shaken(ALL[name](columns, context))
    x, half = rows(500, columns, context)
    z, log_det = layer(x, half)
    require_flow = Context(features=None if half.features is None else half.features.float())
    z32, log_det32 = layer.float()(x.float(), require_flow)
    torch.testing.assert_close(z32.double(), z, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(log_det32.double(), log_det, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in ALL if "actnorm" in name or name.startswith("elementwise")])
def test_start_suits_the_rows(name: str, columns: int, context: int) -> None:
    layer = ALL[name](columns, context).double()
    x, _ = rows(4000, columns, context)
    x = 3 + 0.5 * x
    layer.initialize(x)
    z, log_det = layer(x)
    assert log_det.isfinite().all()
    if "spline" not in name:
        assert z.mean(0).abs().max() < 0.3
        assert (z.std(0) / z.std(0).mean() - 1).abs().max() < 0.3
