"""The mathematics of normalizing flows, on tensors alone.

A flow is a chain of layers over a base. Three ideas combine freely: how one coordinate is transformed given its
parameters (``bijections``), who supplies the parameters (``layers``, with ``conditioners``), and what lies below
(``bases``).
"""

from __future__ import annotations

from flowcli.flows.build import build, build_mixed, flow_blueprint, mixed_blueprint
from flowcli.flows.context import Context
from flowcli.flows.flow import Flow
from flowcli.flows.mixed.density import Layout, MixedDensity, MixedTerms
from flowcli.flows.transform import Transform

__all__ = [
    "Context",
    "Flow",
    "Layout",
    "MixedDensity",
    "MixedTerms",
    "Transform",
    "build",
    "build_mixed",
    "flow_blueprint",
    "mixed_blueprint",
]
