"""The activations of networks, in place where the value is not needed any more, with their gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor

ActivationName = Literal["relu", "silu", "tanh"]


class Activation(ABC):
    """A function of single numbers.

    Attributes:
        from_value: Whether the gradient is a function of the value, or of the result.
    """

    from_value = False

    @abstractmethod
    def apply(self, value: Tensor) -> Tensor:
        """Return the function, in a new tensor."""

    @abstractmethod
    def apply_(self, value: Tensor) -> Tensor:
        """Return the function, in the value's place."""

    @abstractmethod
    def gradient_(self, gradient: Tensor, source: Tensor) -> Tensor:
        """Turn the gradient of the result into that of the value, in place; ``source`` is the value or the result."""


class Relu(Activation):
    """max(v, 0)."""

    def apply(self, value: Tensor) -> Tensor:  # noqa: D102
        return torch.relu(value)

    def apply_(self, value: Tensor) -> Tensor:  # noqa: D102
        return torch.relu_(value)

    def gradient_(self, gradient: Tensor, source: Tensor) -> Tensor:  # noqa: D102
        torch.ops.aten.threshold_backward.grad_input(gradient, source, 0, grad_input=gradient)
        return gradient


class Silu(Activation):
    """v / (1 + exp(-v))."""

    from_value = True

    def apply(self, value: Tensor) -> Tensor:  # noqa: D102
        return torch.nn.functional.silu(value)

    def apply_(self, value: Tensor) -> Tensor:  # noqa: D102
        return torch.nn.functional.silu(value, inplace=True)

    def gradient_(self, gradient: Tensor, source: Tensor) -> Tensor:  # noqa: D102
        torch.ops.aten.silu_backward.grad_input(gradient, source, grad_input=gradient)
        return gradient


class Tanh(Activation):
    """The hyperbolic tangent."""

    def apply(self, value: Tensor) -> Tensor:  # noqa: D102
        return torch.tanh(value)

    def apply_(self, value: Tensor) -> Tensor:  # noqa: D102
        return torch.tanh_(value)

    def gradient_(self, gradient: Tensor, source: Tensor) -> Tensor:  # noqa: D102
        torch.ops.aten.tanh_backward.grad_input(gradient, source, grad_input=gradient)
        return gradient


ACTIVATIONS: dict[ActivationName, Activation] = {"relu": Relu(), "silu": Silu(), "tanh": Tanh()}
