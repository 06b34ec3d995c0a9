"""The matrix products alone: what a flow with these networks cannot do without, as long as its matrices are dense.

Values lie units by rows, so a layer is W (out, in) times values (in, rows). Scoring is the forward products; sampling
is held to the same ones, since a network evaluated column by column needs no more; a step of training has three a
layer: forward, by the weights, and by the input (the first layer's too). Outputs are written to memory that is there.
No biases, no activations, no splines. Where masks leave half of a matrix zero, leaving out the zeros can beat it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from benchmarks.speed.cases import (
    BATCH,
    BINS,
    HIDDEN,
    MIXTURE_BLOCKS,
    MIXTURE_COMPONENTS,
    MIXTURE_WIDTH,
    TRANSFORMS,
    Case,
)

NETWORK = "the matrices of flowcli's networks, without biases, and nothing else"
PACKAGES: tuple[str, ...] = ()

SPLINE = 3 * BINS - 1


class Model:
    """The matrices of every network of a flow, and their products.

    Args:
        networks: For each network the sizes of its layers, input and output included.
    """

    def __init__(self, networks: list[list[int]]) -> None:
        # Of a size that keeps values about one, far from any that a processor computes slowly.
        self._networks = [
            [torch.randn(after, before) / math.sqrt(before) for before, after in pairwise(sizes)] for sizes in networks
        ]
        self.parameters = sum(weight.numel() for network in self._networks for weight in network)

    def stepper(self, batches: Tensor) -> Callable[[], Tensor]:
        inputs, values = self._inputs(BATCH), self._outputs(BATCH)
        by_weight = [[torch.empty_like(weight) for weight in network] for network in self._networks]
        by_input = [[torch.empty(weight.shape[1], BATCH) for weight in network] for network in self._networks]

        def step() -> Tensor:
            self._forward(inputs, values)
            for number in reversed(range(len(self._networks))):
                network = self._networks[number]
                gradient = values[number][-1]
                for layer in reversed(range(len(network))):
                    value = values[number][layer - 1] if layer else inputs[number]
                    torch.mm(gradient, value.t(), out=by_weight[number][layer])
                    gradient = torch.mm(network[layer].t(), gradient, out=by_input[number][layer])
            return gradient[0, 0]

        return torch.inference_mode()(step)

    def scorer(self, rows: Tensor, block: int) -> Callable[[], list[Tensor]]:
        return self._blocks(len(rows), block)

    def sampler(self, rows: int, block: int) -> Callable[[], list[Tensor]]:
        return self._blocks(rows, block)

    def _blocks(self, rows: int, block: int) -> Callable[[], list[Tensor]]:
        inputs, values = self._inputs(block), self._outputs(block, shared=True)

        def run() -> list[Tensor]:
            for _ in range(rows // block):
                self._forward(inputs, values)
            return [values[-1][-1]]

        return torch.inference_mode()(run)

    def _forward(self, inputs: list[Tensor], values: list[list[Tensor]]) -> None:
        for network, value, outputs in zip(self._networks, inputs, values, strict=True):
            source = value
            for weight, output in zip(network, outputs, strict=True):
                source = torch.mm(weight, source, out=output)

    def _inputs(self, rows: int) -> list[Tensor]:
        return [torch.randn(network[0].shape[1], rows) for network in self._networks]

    def _outputs(self, rows: int, *, shared: bool = False) -> list[list[Tensor]]:
        """Memory for every layer's values; ``shared`` among the networks where nobody asks for them later."""
        positions: dict[tuple[int, ...], Tensor] = {}
        return [
            [
                positions.setdefault((0 if shared else number, layer, len(weight)), torch.empty(len(weight), rows))
                for layer, weight in enumerate(network)
            ]
            for number, network in enumerate(self._networks)
        ]


def build(case: Case) -> Model:
    columns = case.columns
    match case.family:
        case "maf":
            return Model([[columns, *HIDDEN, 2 * columns]] * TRANSFORMS)
        case "nsf":
            return Model([[columns, *HIDDEN, SPLINE * columns]] * TRANSFORMS)
        case "nsf-coupling":
            bent = [(columns + 1) // 2 if turn % 2 == 0 else columns // 2 for turn in range(TRANSFORMS)]
            return Model([[columns - count, *HIDDEN, SPLINE * count] for count in bent])
        case "mixture":
            hidden = [MIXTURE_WIDTH] * (1 + 2 * MIXTURE_BLOCKS)
            return Model([[columns, *hidden, 3 * MIXTURE_COMPONENTS * columns]])
    raise ValueError(case.family)
