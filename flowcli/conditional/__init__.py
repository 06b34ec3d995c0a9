"""What a joint density says of some columns given others: marginals, conditionals, imputation."""

from __future__ import annotations
