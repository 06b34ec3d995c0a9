"""What one would write by hand: a table read with pandas, scored by zuko in blocks, and written with pandas.

    python -m benchmarks.speed.plain_script big.csv scores.csv

The flow is that of flowcli's config ``nsf``, five splines with two residual blocks of 128, at its first weights; the
time does not depend on them.
"""

from __future__ import annotations

import sys

import pandas as pd
import torch
import zuko

BLOCK = 2048


def main() -> None:
    source, target = sys.argv[1:]
    rows = torch.tensor(pd.read_csv(source).to_numpy(), dtype=torch.float32)
    rows = (rows - rows.mean(0)) / rows.std(0)
    flow = zuko.flows.NSF(
        rows.shape[1], bins=8, transforms=5, hidden_features=(128, 128), residual=True, activation=torch.nn.SiLU
    ).eval()
    with torch.inference_mode():
        density = flow()
        scores = torch.cat([density.log_prob(block) for block in rows.split(BLOCK)])
    pd.DataFrame({"logprob": scores.numpy()}).to_csv(target, index=False)


if __name__ == "__main__":
    main()
