"""zuko: https://github.com/probabilists/zuko."""

from __future__ import annotations

import zuko
from torch import Tensor
from zuko.transforms import MonotonicRQSTransform

from benchmarks.speed.cases import BINS, HIDDEN, TRANSFORMS, Case
from benchmarks.speed.libraries.pytorch import TorchModel

NETWORK = (
    "two hidden layers of 128, masked or dense. Coupling is its class NICE with splines, whose dense networks give"
    " parameters to the bent half alone; its NSF with passes=2 would give them to all columns"
)
PACKAGES = ("zuko",)


class Model(TorchModel):
    """A lazy distribution, called for every block as zuko's tutorials do."""

    def log_prob(self, rows: Tensor) -> Tensor:
        return self.flow().log_prob(rows)

    def draw(self, rows: int) -> Tensor:
        return self.flow().sample((rows,))


def build(case: Case) -> Model | None:
    # Its splines have their bound at 5, and its autoregressive orders are reversed from one transform to the next.
    sizes = {"transforms": TRANSFORMS, "hidden_features": HIDDEN}
    match case.family:
        case "maf":
            return Model(zuko.flows.MAF(case.columns, **sizes))
        case "nsf":
            return Model(zuko.flows.NSF(case.columns, bins=BINS, **sizes))
        case "nsf-coupling":
            shapes = [(BINS,), (BINS,), (BINS - 1,)]
            return Model(zuko.flows.NICE(case.columns, univariate=MonotonicRQSTransform, shapes=shapes, **sizes))
    return None
