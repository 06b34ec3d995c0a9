"""What makes a step quicker where the machine offers it: a compiler, and matrix products of fewer digits on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from flowcli.flows import MixedDensity

LogProb = Callable[[Tensor], Tensor]


def compiled(density: MixedDensity, batch: Tensor, notice: Callable[[str], None]) -> LogProb:
    """Return the density's ``log_prob``, compiled; as it is, with a notice, where that fails.

    Compiling happens here, for batches of one size, and takes a minute or so on a processor.

    Args:
        density: The density, in the mode in which it will be used.
        batch: Rows like those to come, (B, D).
        notice: Takes a line for the user.
    """
    notice("compiling the flow, which takes a minute or two")
    faster = torch.compile(density.log_prob, dynamic=False, fullgraph=True)
    parameters = [p for p in density.parameters() if p.requires_grad]
    try:
        torch.autograd.grad(faster(batch).sum(), parameters)
    except Exception as error:  # whatever the compiler, or the lack of one, may raise
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        notice(f"--compile: going on without, since the flow could not be compiled here ({reason[:200]})")
        torch.compiler.reset()
        return density.log_prob
    return faster


@contextmanager
def allow_tf32(device: torch.device) -> Iterator[None]:
    """Matrix products in TF32 on an NVIDIA GPU: ten bits of mantissa are enough for a gradient.

    Splines and log-dets are no matrix products and stay in float32; so does all that is not a step: a log-density that
    is shown, and a sample that has to lead back to its latent.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
