"""Probabilities of codes: categories, discrete numbers, and which cells are missing."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from flowcli.flows.bases.base import uniform
from flowcli.flows.conditioners import MaskedNetwork
from flowcli.flows.context import NO_CONTEXT, Context
from flowcli.flows.kernels.planes import soft_clip
from flowcli.flows.mixed.one_hot import OneHot

LARGEST_LOGIT = 30.0  # so that exponentials need no maximum taken off them first
LEAST_COUNT = 0.01  # rows of what has none, where logits start; the guard gives it more


class CategoricalDensity(nn.Module):
    """P(c | given) = prod_v P(c_v | c_<v, given), each a softmax whose logits a masked network gives.

    A code with many outcomes is two digits, one after the other. Each softmax gives a share to all of its outcomes
    alike, ``smoothing``, so that none that is possible has probability zero; that is
    additive smoothing (Lidstone, 1920).
    Paper: MADE (Germain et al., 2015), with one-hot inputs as in PixelRNN (van den Oord et al., 2016).

    Args:
        one_hot: How codes become digits.
        network: A masked network over the digits: it reads ``one_hot.widths`` numbers of each, and gives as many
            parameters as the digit has values.
    """

    smoothing: Tensor
    _groups: Tensor
    _hot_rows: Tensor
    _number_rows: Tensor

    def __init__(self, one_hot: OneHot, network: MaskedNetwork) -> None:
        super().__init__()
        self.one_hot, self.network = one_hot, network
        self.digits, self._edges = one_hot.digits, one_hot.edges
        groups = torch.zeros(len(self.digits), self._edges[-1])
        # Where each digit's one-hot values, and the numbers that they stand for, lie among the network's inputs.
        hot_rows: list[int] = []
        number_rows: list[int] = []
        for index, (begin, end) in enumerate(pairwise(self._edges)):
            groups[index, begin:end] = 1
            first = network.input_edges[index]
            hot_rows.extend(range(first, first + end - begin))
            if index in one_hot.numbered:
                number_rows.append(first + end - begin)
        for name, values in (("_hot_rows", hot_rows), ("_number_rows", number_rows)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.long), persistent=False)
        self.register_buffer("_groups", groups, persistent=False)
        self.register_buffer("smoothing", torch.zeros(len(self.digits)))

    def log_prob(self, hot: Tensor, context: Context = NO_CONTEXT) -> Tensor:
        """Return the logarithm of the probability of one-hot codes (sum of sizes, B), (B,)."""
        return self.log_probs(hot, context).sum(0)

    def log_probs(self, hot: Tensor, context: Context = NO_CONTEXT) -> Tensor:
        """Return the log-probability of each digit given those before it, (digits, B)."""
        weights = torch.exp(soft_clip(self.network.evaluate(self._inputs(hot), context), LARGEST_LOGIT))
        possible = self.possible(hot)
        if possible is not None:
            weights = weights * possible
        counts = self._groups.sum(1, keepdim=True) if possible is None else self._groups @ possible
        share = (self._groups @ (weights * hot)) / (self._groups @ weights)
        smoothing = self.smoothing[:, None]
        return torch.log((1 - smoothing) * share + smoothing / counts)

    @torch.no_grad()
    def sample(self, rows: int, generator: torch.Generator, context: Context = NO_CONTEXT) -> Tensor:
        """Draw codes (rows, V)."""
        stepper = self.network.column_by_column(rows, context)
        draws = uniform(rows, len(self.digits), generator, self.smoothing).t()
        hot = self.smoothing.new_zeros(self._edges[-1], rows)
        inputs = hot.new_zeros(self.network.input_edges[-1], rows)
        codes = torch.zeros(rows, 1 + self.digits[-1].code, dtype=torch.long, device=hot.device)
        for index, digit in enumerate(self.digits):
            weights = torch.exp(soft_clip(stepper.parameters(index, inputs), LARGEST_LOGIT))
            possible = torch.ones_like(weights)
            if digit.above is not None:
                possible[digit.last :] -= hot[self._edges[digit.above + 1] - 1]
            weights = weights * possible
            smoothing = self.smoothing[index]
            shares = (1 - smoothing) * weights / weights.sum(0) + smoothing * possible / possible.sum(0)
            edges = shares.cumsum(0)
            # The last possible value takes what rounding leaves.
            chosen = torch.lt(edges, draws[index] * edges[-1]).sum(0)
            chosen = torch.minimum(chosen, possible.sum(0).long() - 1)
            codes[:, digit.code] += digit.divisor * chosen
            hot[self._edges[index] : self._edges[index + 1]].scatter_(0, chosen[None], 1.0)
            inputs = self._inputs(hot)
        return codes

    @torch.no_grad()
    def initialize(self, codes: Tensor, weights: Tensor) -> None:
        """Set the guard, and the network's last biases to what the frequencies of codes (N, V) ask for.

        Args:
            codes: Of the training rows.
            weights: Of the rows, (N,), one on average.
        """
        counts = torch.zeros(self._edges[-1], dtype=torch.float64)
        for part, share in zip(*(torch.split(whole, 16_384) for whole in (codes, weights)), strict=True):
            counts += self.one_hot(part).double() @ share.double()
        for index, digit in enumerate(self.digits):
            begin, end = self._edges[index : index + 2]
            logs = torch.log(counts[begin:end].clamp_min(LEAST_COUNT))
            logits = (logs - logs.mean()).clamp(-0.9 * LARGEST_LOGIT, 0.9 * LARGEST_LOGIT)
            self.network.last.bias[begin:end] = logits / (1 - logits.abs() / LARGEST_LOGIT)
            self.smoothing[index] = digit.size / (2 * len(codes) + digit.size)

    def _inputs(self, hot: Tensor) -> Tensor:
        """Return what the network reads."""
        if not self.one_hot.numbered:
            return hot
        inputs = hot.new_empty(self.network.input_edges[-1], hot.shape[1])
        inputs.index_copy_(0, self._hot_rows, hot)
        return inputs.index_copy_(0, self._number_rows, self.one_hot.numbers @ hot)

    def possible(self, hot: Tensor) -> Tensor | None:
        """Return which values each digit can have after the one above it, (sum of sizes, B); ``None`` for all."""
        if all(digit.above is None or digit.last == digit.size for digit in self.digits):
            return None
        possible = torch.ones_like(hot)
        for index, digit in enumerate(self.digits):
            if digit.above is not None:
                begin, end = self._edges[index : index + 2]
                possible[begin + digit.last : end] -= hot[self._edges[digit.above + 1] - 1]
        return possible
