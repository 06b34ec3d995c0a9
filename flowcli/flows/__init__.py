"""The mathematics of normalizing flows, on tensors alone.

A flow is a chain of layers over a base. Three ideas combine freely: how one coordinate is bent given its parameters
(``elementwise``), who supplies the parameters (``layers``, with ``networks``), and what lies below (``bases``).
"""

from __future__ import annotations

from flowcli.flows.build import build, build_joint
from flowcli.flows.context import Context
from flowcli.flows.flow import Flow
from flowcli.flows.joint import Joint, JointTerms, Layout
from flowcli.flows.size import check_joint_size, count_joint_parameters, count_parameters
from flowcli.flows.transform import Transform

__all__ = [
    "Context",
    "Flow",
    "Joint",
    "JointTerms",
    "Layout",
    "Transform",
    "build",
    "build_joint",
    "check_joint_size",
    "count_joint_parameters",
    "count_parameters",
]
