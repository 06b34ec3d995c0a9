"""A density to a file, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowcli.config.loader import from_mapping
from flowcli.config.schema import Config, Marginal
from flowcli.encoding.column_encoder import ColumnEncoder
from flowcli.encoding.encoder import Encoder, divided
from flowcli.encoding.quantile_map import QuantileMap
from flowcli.encoding.standardizer import Standardizer
from flowcli.encoding.tails import LEAST_INDEX, MOST_INDEX, Tails
from flowcli.errors import FlowcliError, ModelFileError
from flowcli.flows import MixedDensity, build_mixed, mixed_blueprint
from flowcli.flows.conditioners import ChosenLinear
from flowcli.flows.layers import Permutation
from flowcli.model.density import Density
from flowcli.model.ensemble import Ensemble
from flowcli.model.files import container
from flowcli.model.files.earlier_formats import in_todays_words
from flowcli.model.flow_density import FlowDensity
from flowcli.model.held_out import HeldOut
from flowcli.table.inference.lattice import MAX_DECIMALS
from flowcli.table.inference.season import possible_periods
from flowcli.table.schema import Column, Schema
from flowcli.table.values.missing import are_possible
from flowcli.version import __version__

KIND = "flowcli"
FORMAT = 5
MOST_MEMBERS = 1000
HELD_OUT = "held_out"
LOG_POSSIBLE = "log_possible"


def save(density: Density, path: Path) -> None:
    """Write a model file, whole or not at all.

    Raises:
        ResourceError: The file cannot be written.
    """
    container.write(path, KIND, describe(density), pack(density))


def load(path: Path, device: torch.device | str = "cpu") -> Density:
    """Read a model file.

    Raises:
        UsageError: There is no such file.
        ModelFileError: It is damaged, contradicts itself, or comes from a newer flowcli.
    """
    document, tensors = container.read(path, KIND)
    try:
        density = restore(document, tensors)
    except FlowcliError as error:
        raise ModelFileError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(f"{path}: its description cannot be understood ({error!r})") from error
    return density if torch.device(device) == density.device else density.to(device)


def describe(density: Density) -> dict[str, Any]:
    """Return the JSON document of a model file."""
    if isinstance(density, Ensemble):
        return {
            "format": FORMAT,
            "version": __version__,
            "weights": density.weights.tolist(),
            "members": [describe(member) for member in density.members],
            "summary": density.summary,
        }
    assert isinstance(density, FlowDensity)
    return {
        "format": FORMAT,
        "version": __version__,
        "config": density.config.to_json(),
        "columns": density.schema.to_json(),
        "summary": density.summary,
    }


def pack(density: Density) -> container.Tensors:
    """Return the tensors of a model file, by name."""
    if isinstance(density, Ensemble):
        return {
            f"{position}.{name}": tensor
            for position, member in enumerate(density.members)
            for name, tensor in pack(member).items()
        } | _pack_held_out(density)
    assert isinstance(density, FlowDensity)
    return dict(density.joint.state_dict()) | pack_encoding(density.encoder) | _pack_held_out(density)


def _pack_held_out(density: Density) -> container.Tensors:
    return {} if density.held_out is None else {HELD_OUT: torch.from_numpy(density.held_out.packed())}


def _unpack_held_out(tensors: Mapping[str, Tensor]) -> HeldOut | None:
    """Return how likely the held-out rows were; ``None`` in files of before this was kept."""
    if HELD_OUT not in tensors:
        return None
    packed = _expect(tensors, HELD_OUT, (2, *tensors[HELD_OUT].shape[1:2]), torch.float64, finite=False)
    rising = packed[:, 1:] >= packed[:, :-1]  # not their difference: there may be minus infinities
    if not (packed.numel() and rising.all() and (packed[1] >= 0).all() and (packed[1] <= 1).all()):
        raise ModelFileError(f"{HELD_OUT} does not rise")
    return HeldOut(*packed.numpy())


def pack_encoding(encoder: Encoder) -> container.Tensors:
    """Return the inverse of ``unpack_encoding``."""
    tensors: container.Tensors = {}
    for name, part in (("coordinates", encoder.modelled), ("given", encoder.conditioning)):
        if name == "given" and not part.indices:
            continue
        coordinates = part.coordinates
        tensors |= {f"{name}.center": coordinates.center, f"{name}.scale": coordinates.scale}
        if part.spreads:
            tensors[f"{name}.spreads"] = torch.tensor(part.spreads, dtype=torch.float64)
        if coordinates.tails is not None:
            tensors[f"{name}.tails"] = coordinates.tails.index
        if coordinates.limits is not None:
            tensors[f"{name}.limits"] = coordinates.limits
        if coordinates.marginal is not None:
            for each in ("positions", "heights", "slopes"):
                tensors[f"{name}.marginal.{each}"] = getattr(coordinates.marginal, each)
    if encoder.log_possible:
        tensors[LOG_POSSIBLE] = torch.tensor([encoder.log_possible], dtype=torch.float64)
    return tensors


def restore(document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Density:
    """Return the inverse of ``describe`` and ``pack``.

    Raises:
        ModelFileError: The parts contradict each other.
    """
    if document["format"] not in range(1, FORMAT + 1):
        raise ModelFileError(
            f"has format {document['format']}, this flowcli {__version__} reads formats up to {FORMAT};"
            f" needs flowcli >= {document.get('version')}"
        )
    document, tensors = in_todays_words(document, tensors)
    return _restore_ensemble(document, tensors) if "members" in document else restore_flow(document, tensors)


def restore_flow(document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> FlowDensity:
    """Return the density of one flow from its document and its tensors.

    Raises:
        ModelFileError: The parts contradict each other.
    """
    config = from_mapping(document["config"])
    encoder = unpack_encoding(unpack_schema(document["columns"]), tensors)
    first = config.flow.layers[0] if config.flow.layers else None
    wanted = isinstance(first, Marginal) and first.marginal == "quantile" and len(encoder.coordinates) > 0
    if (encoder.coordinates.marginal is not None) != wanted:
        raise ModelFileError("its config and its tensors differ on whether there is a quantile map")
    if surprise := sorted(tensors.keys() - pack_encoding(encoder).keys() - _of_joint(tensors).keys() - {HELD_OUT}):
        raise ModelFileError(f"{surprise[0]} is superfluous")
    joint, summary = unpack_joint(config, encoder, tensors), dict(document["summary"])
    return FlowDensity(encoder, joint, config, summary, _unpack_held_out(tensors))


def _restore_ensemble(document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Ensemble:
    weights = np.array(document["weights"], dtype=np.float64)
    count = len(document["members"])
    if not (0 < count <= MOST_MEMBERS and weights.shape == (count,) and (weights > 0).all()):
        raise ModelFileError("its flows and their weights contradict each other")
    if abs(weights.sum() - 1) > 1e-9:
        raise ModelFileError("the weights of its flows do not add up to one")
    of_members: list[dict[str, Tensor]] = [{} for _ in range(count)]
    for name, tensor in tensors.items():
        if name == HELD_OUT:
            continue
        position, _, name_in_member = name.partition(".")
        if not (position.isdecimal() and int(position) < count):
            raise ModelFileError(f"{name} is superfluous")
        of_members[int(position)][name_in_member] = tensor
    members = [restore_flow(*both) for both in zip(document["members"], of_members, strict=True)]
    if any(member.schema != members[0].schema for member in members):
        raise ModelFileError("its flows are over different columns")
    return Ensemble(members, weights, dict(document["summary"]), _unpack_held_out(tensors))


def unpack_schema(columns: list[dict[str, Any]]) -> Schema:
    """Return the schema among the document of a model file or a state.

    Raises:
        ModelFileError: There is no such column.
    """
    schema = Schema.from_json(columns)
    if not columns or len(set(schema.names)) < len(columns):
        raise ModelFileError("its columns are none, or two have one name")
    words = schema.columns[0].missing_words
    if not are_possible(words) or any(column.missing_words != words for column in schema.columns):
        raise ModelFileError("the words for a missing cell are none, or not those of all columns")
    for column in schema.columns:
        if not _is_possible(column):
            raise ModelFileError(f"column {column.name!r}: there is no such column as {column}")
        if strange := [
            name for name, _ in column.subtracted_columns if name not in schema.names or name == column.name
        ]:
            raise ModelFileError(f"column {column.name!r}: {strange[0]!r}, which is taken from it, is not there")
    return schema


def _is_possible(column: Column) -> bool:
    """Return whether the parts of a column's description agree."""
    numbers = [
        column.lower,
        column.upper,
        column.least,
        column.most,
        column.off_lattice,
        column.linear_below,
        column.straight_above,
        column.value,
        column.step,
        column.origin,
        *column.values,
        *column.atoms,
    ]
    numbers.extend(factor for _, factor in column.subtracted_columns)
    if not all(n is None or (isinstance(n, int | float) and math.isfinite(n)) for n in numbers):
        return False
    texts = [column.name, *column.levels, *(name for name, _ in column.subtracted_columns)]
    edges = column.lower is not None and column.upper is not None and column.lower < column.upper
    possible = {
        "real": True,
        "positive": column.linear_below is None
        or (column.linear_below > 0 and not column.lower and column.step is None),
        "bounded": edges,
        "circular": edges,
        "discrete": len(column.values) > 0 and (column.step is not None or not column.has_unseen_values),
        "category": len(column.levels) > 1,
        "boolean": len(column.levels) == 2,
        "constant": column.value is not None,
    }.get(column.kind, False)
    return (
        possible
        and (column.seasonal_period is None or column.seasonal_period in possible_periods(column))
        and (column.straight_above is None or column.straight_above > 0)
        and 0 <= column.off_lattice < 1
        and (column.least is None or column.most is None or column.least < column.most)
        and all(isinstance(text, str) for text in texts)
        and list(column.values) == sorted(set(column.values))
        and list(column.atoms) == sorted(set(column.atoms))
        and (column.step is None or column.step > 0)
        and (column.decimals is None or column.decimals in range(MAX_DECIMALS + 1))
    )


def unpack_encoding(schema: Schema, tensors: Mapping[str, Tensor]) -> Encoder:
    """Return the encoding among the tensors of a model file."""
    modelled, given = (
        _unpack_part(schema, indices, name, tensors)
        for indices, name in zip(divided(schema), ("coordinates", "given"), strict=True)
    )
    log_possible = 0.0
    if LOG_POSSIBLE in tensors:
        log_possible = float(_expect(tensors, LOG_POSSIBLE, (1,), torch.float64))
        if log_possible > 0:
            raise ModelFileError(f"{LOG_POSSIBLE} is above zero")
    return Encoder(schema, modelled, given, log_possible)


def _unpack_part(schema: Schema, indices: list[int], name: str, tensors: Mapping[str, Tensor]) -> ColumnEncoder:
    nothing = Standardizer((), torch.zeros(0, dtype=torch.float64), torch.ones(0, dtype=torch.float64))
    if name == "given" and not indices:
        return ColumnEncoder(schema, indices, nothing)
    others = sum(schema.columns[position].has_unseen_values for position in indices)
    spreads = _expect(tensors, f"{name}.spreads", (others,), torch.float64).tolist() if others else []
    if not all(scale_of_unseen > 0 for scale_of_unseen in spreads):
        raise ModelFileError(f"{name}.spreads is not positive")
    columns = [schema.columns[position] for position in ColumnEncoder(schema, indices, nothing, spreads).continuous]
    center, scale = (_expect(tensors, f"{name}.{each}", (len(columns),), torch.float64) for each in ("center", "scale"))
    if not (scale > 0).all():
        raise ModelFileError(f"{name}.scale is not positive")
    tails = None
    if f"{name}.tails" in tensors:
        index = _expect(tensors, f"{name}.tails", (2, len(columns)), torch.float64)
        if not ((index == 0) | ((index >= LEAST_INDEX) & (index <= MOST_INDEX))).all():
            raise ModelFileError("there are no such tails")
        tails = Tails(index)
    limits = None
    if f"{name}.limits" in tensors:
        limits = _expect(tensors, f"{name}.limits", (2, len(columns)), torch.float64)
        if not (limits[0] <= limits[1]).all():
            raise ModelFileError(f"{name}.limits contradict each other")
    marginal = None
    if f"{name}.marginal.positions" in tensors:
        shape = (len(columns), *tensors[f"{name}.marginal.positions"].shape[1:2])
        positions, heights, slopes = (
            _expect(tensors, f"{name}.marginal.{each}", shape, torch.float64)
            for each in ("positions", "heights", "slopes")
        )
        if (
            len(shape) < 2
            or shape[1] < 2
            or not ((positions.diff() > 0).all() and (heights.diff() > 0).all() and (slopes > 0).all())
        ):
            raise ModelFileError("the quantile map is not increasing")
        marginal = QuantileMap(positions, heights, slopes)
    return ColumnEncoder(schema, indices, Standardizer(columns, center, scale, tails, marginal, limits), spreads)


def unpack_joint(config: Config, encoder: Encoder, tensors: Mapping[str, Tensor]) -> MixedDensity:
    """Return the joint density of that config, with its weights among the tensors of a model file."""
    stored, layout, numbers = _of_joint(tensors), encoder.layout, encoder.numbers
    needed, result = (
        mixed_blueprint(config.flow, layout, numbers).parameters,
        sum(tensor.numel() for tensor in stored.values()),
    )
    if (
        needed > result
    ):  # found out before anything is made, so that no config can ask for more memory than its file has
        raise ModelFileError(f"its tensors do not fit its config: {result:,} numbers for {needed:,} parameters")
    with torch.random.fork_rng(devices=[]):
        joint = build_mixed(config.flow, layout, numbers)
    expected = joint.state_dict()
    if surprise := sorted(stored.keys() ^ expected.keys()):
        raise ModelFileError(f"its tensors do not fit its config: {surprise[0]} is missing or superfluous")
    for name, tensor in expected.items():
        _expect(tensors, name, tuple(tensor.shape), tensor.dtype)
    joint.load_state_dict(stored)
    for name, layer in joint.named_modules():
        if isinstance(layer, Permutation) and layer.order.sort().values.tolist() != list(range(layout.coordinates)):
            raise ModelFileError(f"{name}.order is no order of {layout.coordinates} columns")
        if isinstance(layer, ChosenLinear) and layer.sees_later_columns():
            raise ModelFileError(f"{name}.parents: a column depends on itself or on a later one")
    return joint


def _of_joint(tensors: Mapping[str, Tensor]) -> container.Tensors:
    return {name: tensor for name, tensor in tensors.items() if name.partition(".")[0] in ("flow", "angles", "codes")}


def _expect(
    tensors: Mapping[str, Tensor], name: str, shape: tuple[int, ...], dtype: torch.dtype, *, finite: bool = True
) -> Tensor:
    """Return the tensor of a name, which must have this shape and type and, unless told otherwise, finite values."""
    if name not in tensors:
        raise ModelFileError(f"{name} is missing")
    tensor = tensors[name]
    if tuple(tensor.shape) != shape or tensor.dtype != dtype:
        raise ModelFileError(f"{name} is {tuple(tensor.shape)} {tensor.dtype}, not {shape} {dtype}")
    if finite and tensor.is_floating_point() and not tensor.isfinite().all():
        raise ModelFileError(f"{name} holds values that are not finite")
    return tensor
