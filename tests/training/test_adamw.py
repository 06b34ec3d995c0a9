"""The optimizer, against torch's own."""

from __future__ import annotations

import pytest
import torch

from flowcli.training.loop.adamw import AdamW, add_up, clip_coefficient

PARTS = (slice(0, 13), slice(13, 30))


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_steps_are_those_of_torch(weight_decay: float) -> None:
    generator = torch.Generator().manual_seed(0)
    ours = torch.randn(30, generator=generator, dtype=torch.float64)
    theirs = [torch.nn.Parameter(ours[:20].clone()), torch.nn.Parameter(ours[20:].clone())]
    optimizer = AdamW(ours, lambda: torch.zeros_like(ours), 20, weight_decay)
    oracle = torch.optim.AdamW(
        [{"params": theirs[:1], "weight_decay": weight_decay}, {"params": theirs[1:], "weight_decay": 0.0}]
    )
    for number in range(60):
        size = 0 if number == 7 else 10 ** (number % 5)
        gradient = size * torch.randn(30, generator=generator, dtype=torch.float64)
        rate = 0.1 / (1 + number)
        for group in oracle.param_groups:
            group["lr"] = rate
        theirs[0].grad, theirs[1].grad = gradient[:20].clone(), gradient[20:].clone()
        oracle.step()
        for part in PARTS:
            optimizer.step(gradient, rate, number + 1, part)
        torch.testing.assert_close(ours, torch.cat(theirs).detach(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("length", [0.0, 1e-3, 0.7, 50.0])
def test_a_gradient_is_clipped_as_torch_does_it(length: float) -> None:
    shares = [torch.randn(30, generator=torch.Generator().manual_seed(seed)) * length for seed in range(3)]
    expected = torch.nn.Parameter(torch.zeros(30))
    expected.grad = torch.stack(shares).sum(0)
    torch.nn.utils.clip_grad_norm_([expected], 2.0)
    squares = sum(add_up(shares, part) for part in PARTS)
    torch.testing.assert_close(shares[0] * clip_coefficient(squares, 2.0), expected.grad)
