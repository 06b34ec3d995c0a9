"""Is this a correct density? Figures that tell, each with its limit.

``check`` yields a ``Finding`` for each. Log-dets are compared with automatic differentiation, ways there with ways
back, integrals and sums with one, and draws with what is said of them, so that nothing is taken from the code under
test but what is being looked at.
"""

from __future__ import annotations

from flowcli.evaluation.check.finding import Finding
from flowcli.evaluation.check.suite import check

__all__ = ["Finding", "check"]
