"""A fit where an earlier one of the same rows and config stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from flowcli.config import from_mapping
from flowcli.config import schema as config
from flowcli.encoding import Encoder
from flowcli.errors import ModelFileError, UsageError
from flowcli.table import Table
from flowcli.training.prepare.checks import Notice, checked_table, trainable, within_reach
from flowcli.training.prepare.fitting import Fitting, fingerprint
from flowcli.training.prepare.loop_factory import LoopFactory
from flowcli.training.prepare.split import split_rows


def resume(
    document: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    encoder: Encoder,
    table: Table,
    request: config.Config,
    *,
    seed: int,
    held_out_seed: int | None = None,
    device: torch.device | str = "cpu",
    valid: Table | None = None,
    compile: bool = False,
    notice: Notice,
) -> Fitting:
    """Set up a fit where an earlier one of the same rows and config stopped.

    Args:
        document: Of the earlier fit's ``state``.
        tensors: Of the same.
        encoder: Of the same fit.
        table: The rows again.
        request: The config again.
        seed: The seed again.
        held_out_seed: The same of the held-out rows, where it was another one.
        device: Where the fit goes on.
        valid: The held-out rows again, if they were given.
        compile: Run the steps through torch's compiler, if there is one.
        notice: Takes lines for the user.

    Raises:
        UsageError: Rows, columns, config or seed differ.
        ModelFileError: The state contradicts itself.
    """
    _same("columns", [c["name"] for c in document["columns"]], table.schema.names)
    _same("column kinds", document["columns"], table.schema.to_json())
    _same("config", document["request"], request.to_json())
    _same("seed", document["seed"], seed)
    _same("rows", document["fingerprint"], fingerprint(table, valid))
    split_seed = seed if held_out_seed is None else held_out_seed
    table = checked_table(table, split_seed, _silent)
    train, held_out = split_rows(table, valid, request.train.valid, split_seed, _silent)
    train, held_out = trainable(encoder, request, train, held_out, _silent)
    train, held_out = within_reach(encoder, train, held_out)
    resolved = from_mapping(document["config"])
    factory = LoopFactory(encoder, resolved, train, held_out, seed, device)
    try:
        loop = factory.continued((document["loop"], tensors), notice if compile else None)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"--resume: the state of the fit cannot be understood ({error!r}); --force starts again"
        ) from error
    notice(f"going on from step {loop.step:,} of {loop.settings.steps:,}")
    mark, ridge = document["fingerprint"], document["ridge"]
    return Fitting(request, resolved, encoder, loop, train, held_out, seed, mark, ridge)


def _same(what: str, before: Any, now: Any) -> None:
    """Refuse to go on with something else, and say what."""
    if before != now:
        path, old, new = _first_difference(before, now)
        where = f"{what} {path}" if path else what
        details = "" if len(f"{old}{new}") > 100 else f": it was {old}, now it is {new}"
        raise UsageError(f"--resume: not the fit that was interrupted; other {where}{details}")


def _first_difference(before: Any, now: Any, path: str = "") -> tuple[str, Any, Any]:
    """Return where two JSON values differ first, and how."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *now]:
            if before.get(key) != now.get(key):
                return _first_difference(before.get(key), now.get(key), f"{path}.{key}".lstrip("."))
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, (old, new) in enumerate(zip(before, now, strict=True)):
            if old != new:
                return _first_difference(old, new, f"{path}[{number}]")
    return path, before, now


def _silent(_: str) -> None:
    """Say nothing."""
