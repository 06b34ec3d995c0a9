"""flowjax, on jax: https://github.com/danielward27/flowjax."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import equinox
import jax
import jax.numpy as jnp
import optax
import paramax
from flowjax.bijections import RationalQuadraticSpline
from flowjax.distributions import StandardNormal
from flowjax.flows import coupling_flow, masked_autoregressive_flow
from torch import Tensor

from benchmarks.speed.cases import BINS, BOUND, HIDDEN, LEARNING_RATE, TRANSFORMS, Case

NETWORK = (
    "two hidden layers of 128, masked or dense. Its splines also learn the slopes at their two ends (25 numbers a"
    " column instead of 23), and the columns are put in a random order between transforms. Everything is compiled by"
    " jax.jit before the clock starts; the optimizer is optax.adam"
)
PACKAGES = ("flowjax", "jax", "jaxlib", "equinox", "optax")


class Model:
    """A distribution whose three directions are compiled, with arrays as their only arguments."""

    def __init__(self, distribution: Any) -> None:
        trained, self._rest = equinox.partition(
            distribution, equinox.is_inexact_array, is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable)
        )
        self._trained, self._trained_structure = jax.tree.flatten(trained)
        self.parameters = sum(leaf.size for leaf in self._trained)
        self._optimizer = optax.adam(LEARNING_RATE)
        self._step = jax.jit(self._one_step, donate_argnums=(0, 1))
        # For use, masks and the like are applied once and not in every call.
        arrays, self._ready_rest = equinox.partition(paramax.unwrap(distribution), equinox.is_array)
        self._ready_structure = jax.tree.structure(arrays)
        self._score = jax.jit(lambda arrays, rows: self._ready(arrays).log_prob(rows))
        self._sample = jax.jit(lambda arrays, key, rows: self._ready(arrays).sample(key, (rows,)), static_argnums=2)

    def stepper(self, batches: Tensor) -> Callable[[], Any]:
        turn = itertools.cycle([jnp.asarray(batch.numpy()) for batch in batches])
        moments = self._optimizer.init(self._trained)

        def step() -> Any:
            nonlocal moments
            self._trained, moments, loss = self._step(self._trained, moments, next(turn))
            return jax.block_until_ready(loss)

        step()
        return step

    def scorer(self, rows: Tensor, block: int) -> Callable[[], list[Any]]:
        arrays, parts = self._frozen(), [jnp.asarray(part.numpy()) for part in rows.split(block)]

        def score() -> list[Any]:
            return jax.block_until_ready([self._score(arrays, part) for part in parts])

        jax.block_until_ready(self._score(arrays, parts[0]))
        return score

    def sampler(self, rows: int, block: int) -> Callable[[], list[Any]]:
        arrays, keys = self._frozen(), list(jax.random.split(jax.random.key(0), rows // block))

        def sample() -> list[Any]:
            return jax.block_until_ready([self._sample(arrays, key, block) for key in keys])

        jax.block_until_ready(self._sample(arrays, keys[0], block))
        return sample

    def _one_step(self, trained: list[Any], moments: Any, batch: Any) -> tuple[list[Any], Any, Any]:
        def loss(trained: list[Any]) -> Any:
            return -paramax.unwrap(self._distribution(trained)).log_prob(batch).mean()

        value, gradient = jax.value_and_grad(loss)(trained)
        updates, moments = self._optimizer.update(gradient, moments, trained)
        return optax.apply_updates(trained, updates), moments, value

    def _distribution(self, trained: list[Any]) -> Any:
        return equinox.combine(jax.tree.unflatten(self._trained_structure, trained), self._rest)

    def _frozen(self) -> list[Any]:
        """The arrays of the distribution as it is now; copies, because a step of training writes over its own."""
        distribution = paramax.unwrap(self._distribution(self._trained))
        return [jnp.array(leaf) for leaf in jax.tree.leaves(equinox.filter(distribution, equinox.is_array))]

    def _ready(self, arrays: list[Any]) -> Any:
        return equinox.combine(jax.tree.unflatten(self._ready_structure, arrays), self._ready_rest)


def build(case: Case) -> Model | None:
    spline = RationalQuadraticSpline(knots=BINS - 1, interval=BOUND)  # inner knots
    makers: dict[str, Any] = {
        "maf": (masked_autoregressive_flow, None),
        "nsf": (masked_autoregressive_flow, spline),
        "nsf-coupling": (coupling_flow, spline),
    }
    if case.family not in makers:
        return None
    make, transformer = makers[case.family]
    return Model(
        make(
            jax.random.key(0),
            base_dist=StandardNormal((case.columns,)),
            transformer=transformer,
            flow_layers=TRANSFORMS,
            nn_width=HIDDEN[0],
            nn_depth=len(HIDDEN),
        )
    )
