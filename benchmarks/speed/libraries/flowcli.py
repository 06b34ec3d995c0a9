"""flowcli, through ``benchmarks.speed.ours``."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from torch import Tensor

from benchmarks.speed import ours
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
from benchmarks.speed.libraries.pytorch import count
from flowcli import config, flows

NETWORK = (
    "two hidden layers of 128, masked or dense; the mixture has two residual blocks of 256, and besides the network's"
    " numbers those of a mixture with full covariance, whose exact conditionals the network corrects"
)
PACKAGES = ("flowcli", "torch")


class Model:
    """A flow of flowcli."""

    def __init__(self, flow: flows.Flow) -> None:
        self.flow = flow
        self.parameters = count(flow)

    def stepper(self, batches: Tensor) -> Callable[[], Tensor]:
        return ours.stepper(self.flow, batches)

    def scorer(self, rows: Tensor, block: int) -> Callable[[], list[Tensor]]:
        score = ours.scorer(ours.frozen(self.flow), rows, block)
        return lambda: [score()]

    def sampler(self, rows: int, block: int) -> Callable[[], list[Tensor]]:
        sample = ours.sampler(ours.frozen(self.flow), rows, block)
        return lambda: [sample()]


def build(case: Case) -> Model:
    return Model(flows.build(config.from_mapping({"flow": _architecture(case.family)}).flow, case.columns))


def _architecture(family: str) -> dict[str, Any]:
    spline = {"spline": {"bins": BINS, "bound": BOUND}}
    match family:
        case "maf":
            return {"layers": _autoregressive("affine"), "base": "normal"}
        case "nsf":
            return {"layers": _autoregressive(spline), "base": "normal"}
        case "nsf-coupling":
            masks = itertools.islice(itertools.cycle(["even", "odd"]), TRANSFORMS)
            return {
                "layers": [{"coupling": {"mask": mask, "transform": spline, "net": _net()}} for mask in masks],
                "base": "normal",
            }
        case "mixture":
            net = {**_net(), "hidden": [MIXTURE_WIDTH] * MIXTURE_BLOCKS, "residual": True}
            base = {"components": MIXTURE_COMPONENTS, "start": "random", "net": net}
            return {"layers": [], "base": {"autoregressive_mixture": base}}
    raise ValueError(family)


def _autoregressive(transform: Any) -> list[dict[str, Any]]:
    step = [{"autoregressive": {"transform": transform, "net": _net()}}, {"permutation": "reverse"}]
    return [{"repeat": TRANSFORMS, "layers": step}]


def _net() -> dict[str, Any]:
    return {"hidden": list(HIDDEN), "residual": False, "activation": "relu", "dropout": 0.0}
