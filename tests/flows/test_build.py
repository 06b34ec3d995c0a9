"""From a config to a flow: every shipped config at every width, and what is refused."""

from __future__ import annotations

import pytest
import torch

from flowcli import config as configs
from flowcli.config.schema import FlowConfig
from flowcli.errors import ConfigError
from flowcli.flows import Context, build, flow_blueprint
from flowcli.training.prepare import resolve

NAMES = [name for name in configs.names() if "/" not in name]  # those of single tables are large


def flow_config(**columns_seen: object) -> FlowConfig:
    return configs.from_mapping({"flow": columns_seen}).flow


@pytest.mark.parametrize("columns", [1, 2, 500])
@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_config_at_every_width(name: str, columns: int) -> None:
    architecture = resolve.resolve_flow(
        configs.load(name).flow, size=resolve.Size(3_000, columns), marginal=True, components=2
    )
    flow = build(architecture, columns)
    x = torch.randn(3, columns)
    log_prob = flow.log_prob(x)
    log_prob.sum().backward()
    assert log_prob.isfinite().all()
    assert all(p.grad.isfinite().all() for p in flow.parameters() if p.grad is not None)
    drawn = flow.eval().sample(4, torch.Generator().manual_seed(0))
    assert drawn.shape == (4, columns)
    assert drawn.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_config_takes_a_context(name: str) -> None:
    architecture = resolve.resolve_flow(
        configs.load(name).flow, size=resolve.Size(3_000, 3), marginal=False, components=2
    )
    flow = build(architecture, 3, context=2).double().eval()
    half = Context(features=torch.randn(5, 2, dtype=torch.float64))
    x = flow.sample(5, torch.Generator().manual_seed(0), half)
    z, log_det = flow(x, half)
    back, inverse_log_det = flow.inverse(z, half)
    torch.testing.assert_close(back, x, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(inverse_log_det, -log_det, rtol=1e-9, atol=1e-9)


# What no shipped config has.
RARE = {
    "plain-networks": {
        "layers": [
            {
                "coupling": {
                    "transform": "spline",
                    "net": {"hidden": [5, 7, 3], "residual": False},
                    "mask": "first_half",
                }
            },
            {"autoregressive": {"transform": "affine", "net": {"hidden": [6, 4], "residual": False}}},
            {"elementwise": {"transform": {"mixture_cdf": {"components": 3}}}},
        ],
        "base": {"student_t": {}},
    },
    "little-layers": {"layers": [{"linear": "rotation"}, {"repeat": 0, "layers": ["actnorm"]}, "actnorm"]},
}


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("columns", [1, 5])
@pytest.mark.parametrize("name", [*NAMES, *RARE])
def test_parameters_are_counted_without_making_them(name: str, columns: int, context: int) -> None:
    request = flow_config(**RARE[name]) if name in RARE else configs.load(name).flow
    architecture = resolve.resolve_flow(request, size=resolve.Size(3_000, columns), marginal=True, components=2)
    built = sum(p.numel() for p in build(architecture, columns, context).parameters())
    assert flow_blueprint(architecture, columns, context).parameters == built


def test_repeats_have_weights_of_their_own() -> None:
    flow = build(flow_config(layers=[{"repeat": 3, "layers": [{"linear": "lu"}, "actnorm"]}]), 2)
    assert len(flow.layers) == 6
    assert len({id(p) for p in flow.parameters() if p.requires_grad}) == 3 * (3 + 2)


@pytest.mark.parametrize(
    ("columns_seen", "message"),
    [
        ({"base": {"mixture": {"components": "auto"}}}, "components: auto"),
        ({"layers": [{"repeat": "auto", "layers": ["actnorm"]}]}, "repeat: auto"),
        (
            {"layers": [{"autoregressive": {"transform": "affine", "net": {"hidden": [8, 9], "residual": True}}}]},
            "equally wide",
        ),
        (
            {
                "layers": [
                    {
                        "repeat": 900,
                        "layers": [{"coupling": {"transform": "spline", "net": {"hidden": [65536, 65536]}}}],
                    }
                ]
            },
            "GiB of parameters",
        ),
    ],
)
def test_the_impossible_is_refused_before_it_is_allocated(columns_seen: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(flow_config(**columns_seen), 4)


def test_marginals_may_only_come_first() -> None:
    with pytest.raises(ConfigError, match="marginal may only be the first layer"):
        flow_config(layers=["actnorm", {"marginal": "quantile"}])


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_have_no_densities(name: str) -> None:
    architecture = resolve.resolve_flow(
        configs.load(name).flow, size=resolve.Size(3_000, 3), marginal=True, components=2
    )
    flow = build(architecture, 3).eval()
    assert flow.log_prob(torch.zeros(0, 3)).shape == (0,)
    with torch.no_grad():
        assert flow.log_prob(torch.zeros(0, 3)).shape == (0,)
