"""How good a density is: beside simpler ones on the same rows, and by what its draws look like beside rows."""

from __future__ import annotations

from flowcli.evaluation.metrics.baselines import gaussian_log_prob, simple_log_probs

__all__ = ["gaussian_log_prob", "simple_log_probs"]
