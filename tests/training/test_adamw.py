"""The optimizer, against torch's own."""

from __future__ import annotations

import pytest
import torch

from flowcli.training.adamw import AdamW, clip


def both(weight_decay: float):
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(30, generator=generator, dtype=torch.float64)
    ours = start.clone()
    theirs = [torch.nn.Parameter(start[:20].clone()), torch.nn.Parameter(start[20:].clone())]
    groups = [{"params": theirs[:1], "weight_decay": weight_decay}, {"params": theirs[1:], "weight_decay": 0.0}]
    return ours, AdamW(ours, 20, weight_decay), theirs, torch.optim.AdamW(groups), generator


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_steps_are_those_of_torch(weight_decay: float) -> None:
    ours, optimizer, theirs, oracle, generator = both(weight_decay)
    for number in range(60):
        gradient = torch.randn(30, generator=generator, dtype=torch.float64) * (
            0 if number == 7 else 10 ** (number % 5)
        )
        rate = 0.1 / (1 + number)
        for group in oracle.param_groups:
            group["lr"] = rate
        theirs[0].grad, theirs[1].grad = gradient[:20].clone(), gradient[20:].clone()
        oracle.step()
        optimizer.step(gradient, rate)
        torch.testing.assert_close(ours, torch.cat(theirs).detach(), rtol=1e-10, atol=1e-12)


def test_it_goes_on_from_its_state() -> None:
    ours, optimizer, *_ = both(0.1)
    gradients = torch.randn(10, 30, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for gradient in gradients[:5]:
        optimizer.step(gradient, 0.01)
    other = ours.clone()
    again = AdamW(other, 20, 0.1)
    again.restore(**optimizer.state())
    for gradient in gradients[5:]:
        optimizer.step(gradient, 0.01)
        again.step(gradient, 0.01)
    assert torch.equal(ours, other)


@pytest.mark.parametrize("length", [0.0, 1e-3, 0.7, 50.0])
def test_a_gradient_is_clipped_as_torch_does_it(length: float) -> None:
    gradient = torch.randn(40, generator=torch.Generator().manual_seed(1)) * length
    expected = torch.nn.Parameter(torch.zeros(40))
    expected.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_([expected], 2.0)
    clip(gradient, 2.0)
    torch.testing.assert_close(gradient, expected.grad)
