"""The mathematics of normalizing flows, on tensors alone.

A flow is a chain of layers over a base. Three ideas combine freely: how one coordinate is bent given its parameters
(``elementwise``), who supplies the parameters (``layers``, with ``networks``), and what lies below (``bases``).
"""

from __future__ import annotations

from flowcli.flows.build import build
from flowcli.flows.context import Context
from flowcli.flows.flow import Flow
from flowcli.flows.size import check_size, count_parameters
from flowcli.flows.transform import Transform

__all__ = ["Context", "Flow", "Transform", "build", "check_size", "count_parameters"]
