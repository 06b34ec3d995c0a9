"""nflows: https://github.com/bayesiains/nflows."""

from __future__ import annotations

from typing import Any

import torch
from nflows.distributions.normal import StandardNormal
from nflows.flows import Flow
from nflows.nn.nde.drawn import MixtureOfGaussiansMADE
from nflows.nn.nets import MLP
from nflows.transforms import (
    CompositeTransform,
    MaskedAffineAutoregressiveTransform,
    MaskedPiecewiseRationalQuadraticAutoregressiveTransform,
    PiecewiseRationalQuadraticCouplingTransform,
    ReversePermutation,
)
from nflows.utils import create_alternating_binary_mask
from torch import Tensor

from benchmarks.speed.cases import (
    BINS,
    BOUND,
    HIDDEN,
    MIXTURE_BLOCKS,
    MIXTURE_COMPONENTS,
    MIXTURE_WIDTH,
    TRANSFORMS,
    Case,
)
from benchmarks.speed.libraries.pytorch import TorchModel

NETWORK = (
    "two hidden layers of 128, masked or dense (its networks without residual blocks); the mixture has two residual"
    " blocks of 256 (MixtureOfGaussiansMADE)"
)
PACKAGES = ("nflows",)


class Model(TorchModel):
    """A flow."""

    def log_prob(self, rows: Tensor) -> Tensor:
        return self.flow.log_prob(rows)

    def draw(self, rows: int) -> Tensor:
        return self.flow.sample(rows)


class MixtureModel(TorchModel):
    """A mixture, drawn from through a context that nothing reads; its ``sample`` takes the shape from there."""

    def log_prob(self, rows: Tensor) -> Tensor:
        return self.flow.log_prob(rows)

    def draw(self, rows: int) -> Tensor:
        return self.flow.sample(rows, context=torch.zeros(1, 1))[0]


class Unconditional(MixtureOfGaussiansMADE):
    """A mixture that passes over its context: the library cannot draw from one that has none."""

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> Tensor:
        return super().forward(inputs)


class Dense(MLP):
    """The library's plain network, as its couplings call one.

    Attributes:
        hidden_features: By the root of this, couplings scale down the sizes of bins.
    """

    hidden_features = HIDDEN[-1]

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> Tensor:
        return super().forward(inputs)


def build(case: Case) -> TorchModel | None:
    if case.family == "mixture":
        return MixtureModel(
            Unconditional(
                case.columns,
                MIXTURE_WIDTH,
                num_blocks=MIXTURE_BLOCKS,
                num_mixture_components=MIXTURE_COMPONENTS,
                use_residual_blocks=True,
            )
        )
    steps: list[Any] = []
    for turn in range(TRANSFORMS):
        match case.family:
            case "maf":
                steps.append(MaskedAffineAutoregressiveTransform(case.columns, HIDDEN[0], **_masked()))
            case "nsf":
                steps.append(
                    MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
                        case.columns, HIDDEN[0], num_bins=BINS, tails="linear", tail_bound=BOUND, **_masked()
                    )
                )
            case "nsf-coupling":
                mask = create_alternating_binary_mask(case.columns, even=turn % 2 == 0)
                steps.append(
                    PiecewiseRationalQuadraticCouplingTransform(
                        mask, _dense, num_bins=BINS, tails="linear", tail_bound=BOUND
                    )
                )
            case _:
                return None
        if case.family != "nsf-coupling":
            steps.append(ReversePermutation(case.columns))
    return Model(Flow(CompositeTransform(steps), StandardNormal([case.columns])))


def _masked() -> dict[str, Any]:
    # Without residual blocks the first layer is activated too, so one block makes two hidden layers.
    return {"num_blocks": len(HIDDEN) - 1, "use_residual_blocks": False}


def _dense(inputs: int, outputs: int) -> Dense:
    return Dense([inputs], [outputs], list(HIDDEN))
