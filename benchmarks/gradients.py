"""What gradients that are written out gain over automatic differentiation of the plain formula, in whole steps.

    python -m benchmarks.gradients          # two minutes

A step is the mean log-density of a batch and its gradient: two autoregressive layers with a kind of bijection over a
normal base, or an autoregressive mixture by itself; networks of twice 64 units, residual; one thread. Both ways are
timed in turn, and the figure is the ratio of the medians. A kernel has to gain 1.3 where batches are large.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from flowcli.flows import Context, bases, layers
from flowcli.flows.bijections import Bijection, Spline
from flowcli.flows.conditioners import MaskedNetwork
from flowcli.flows.flow import Flow
from tests.flows.plain import plain_interval

BINS, BOUND, COMPONENTS = 8, 5.0, 8


class PlainSpline(Bijection):
    """The spline's formula, left to autograd."""

    parameters = 3 * BINS - 1

    def evaluate(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        return plain_interval(x, theta, BINS, BOUND)

    def inverse(self, z: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


class PlainMixture(bases.AutoregressiveMixture):
    """The autoregressive mixture by way of its formula for missing cells, which is left to autograd."""

    def log_prob(self, z: Tensor, context: Context) -> Tensor:
        return self._partial(z, Context(features=context.features, observed=torch.ones_like(z)))


def network(columns: int, parameters: int) -> MaskedNetwork:
    return MaskedNetwork(columns, parameters, hidden=(64, 64), residual=True, activation="silu", dropout=0.0, context=0)


def of_layers(bijection: Bijection, columns: int) -> Flow:
    both = [
        layers.Autoregressive(bijection, network(columns, bijection.parameters), reverse=reverse)
        for reverse in (False, True)
    ]
    return Flow(both, bases.Normal(columns))


def of_base(base: type[bases.AutoregressiveMixture], columns: int) -> Flow:
    return Flow([], base(columns, COMPONENTS, network(columns, 3 * COMPONENTS)))


PAIRS: dict[str, tuple[Callable[[int], Flow], Callable[[int], Flow]]] = {
    "spline": (lambda d: of_layers(Spline(BINS, BOUND), d), lambda d: of_layers(PlainSpline(), d)),
    "autoregressive_mixture": (lambda d: of_base(bases.AutoregressiveMixture, d), lambda d: of_base(PlainMixture, d)),
}


def started(make: Callable[[int], Flow], columns: int) -> Flow:
    """A flow away from its start; the same weights for both ways."""
    torch.manual_seed(0)
    flow = make(columns)
    for parameter in flow.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    return flow


def step(flow: Flow, x: Tensor) -> float:
    flow.zero_grad()
    loss = -flow.log_prob(x).mean()
    loss.backward()
    return float(loss.detach())


def gain(name: str, *, rows: int, columns: int, rounds: int, steps: int) -> float:
    """How many times as long a step takes without the kernel."""
    flows = [started(make, columns) for make in PAIRS[name]]
    x = torch.randn(rows, columns, generator=torch.Generator().manual_seed(1))
    ours, plain = (step(flow, x) for flow in flows)
    if abs(ours - plain) > 1e-4 * abs(plain):
        raise SystemExit(f"{name}: {ours} with the kernel, {plain} without")
    taken: list[list[float]] = [[], []]
    for _ in range(rounds):
        for flow, seconds in zip(flows, taken, strict=True):
            begin = time.perf_counter()
            for _ in range(steps):
                step(flow, x)
            seconds.append(time.perf_counter() - begin)
    kernel, autograd = map(statistics.median, taken)
    return autograd / kernel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[256, 1024], help="rows of a batch")
    parser.add_argument("--columns", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=20, help="steps of a round")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| kernel | " + " | ".join(f"{rows:,} rows" for rows in given.rows) + " |")
    print("|---|" + "---|" * len(given.rows))
    for name in PAIRS:
        gains = [
            gain(name, rows=rows, columns=given.columns, rounds=given.rounds, steps=given.steps) for rows in given.rows
        ]
        print(f"| `{name}` | " + " | ".join(f"{ratio:.2f}" for ratio in gains) + " |", flush=True)


if __name__ == "__main__":
    main()
