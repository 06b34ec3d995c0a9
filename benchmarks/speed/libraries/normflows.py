"""normflows: https://github.com/VincentStimper/normalizing-flows."""

from __future__ import annotations

import normflows
import torch
from torch import Tensor

from benchmarks.speed.cases import BINS, BOUND, HIDDEN, TRANSFORMS, Case
from benchmarks.speed.libraries.pytorch import TorchModel

NETWORK = (
    "its spline layers have residual networks only; one block is the smallest that is a network at all: 128 from the"
    " columns, two more layers of 128 and a skip over both, so one product of 128 x 128 more than two hidden layers."
    " Its coupled splines also bend the other half, each column by a spline of its own. The affine network without"
    " residual blocks has the products of two hidden layers, but no activation after the first; that layer is turned"
    " round (flows.Reverse), since by itself it scores column by column"
)
PACKAGES = ("normflows",)


class Model(TorchModel):
    """A flow."""

    def log_prob(self, rows: Tensor) -> Tensor:
        return self.flow.log_prob(rows)

    def draw(self, rows: int) -> Tensor:
        return self.flow.sample(rows)[0]


def build(case: Case) -> Model | None:
    layers: list[normflows.flows.Flow] = []
    for turn in range(TRANSFORMS):
        match case.family:
            case "maf":
                affine = normflows.flows.MaskedAffineAutoregressive(
                    case.columns, HIDDEN[0], num_blocks=len(HIDDEN) - 1, use_residual_blocks=False
                )
                layers.append(normflows.flows.Reverse(affine))
            case "nsf":
                layers.append(
                    normflows.flows.AutoregressiveRationalQuadraticSpline(
                        case.columns, 1, HIDDEN[0], num_bins=BINS, tail_bound=BOUND
                    )
                )
            case "nsf-coupling":
                layers.append(
                    normflows.flows.CoupledRationalQuadraticSpline(
                        case.columns, 1, HIDDEN[0], num_bins=BINS, tail_bound=BOUND, reverse_mask=turn % 2 == 1
                    )
                )
            case _:
                return None
        if case.family != "nsf-coupling":
            layers.append(_reversal(case.columns))
    base = normflows.distributions.DiagGaussian(case.columns, trainable=False)
    return Model(normflows.NormalizingFlow(base, layers))


def _reversal(columns: int) -> normflows.flows.Permute:
    """The library's permutation, which is a random one, made the reversal that all others have."""
    layer = normflows.flows.Permute(columns)
    backwards = torch.arange(columns).flip(0)
    layer.perm.copy_(backwards)
    layer.inv_perm.copy_(backwards)
    return layer
