"""A density to a file, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flowcli import __version__
from flowcli.config.loader import from_mapping
from flowcli.config.schema import Config, Marginal
from flowcli.density import container
from flowcli.density.coordinates import Coordinates
from flowcli.density.density import Density
from flowcli.density.quantile_map import QuantileMap
from flowcli.errors import FlowcliError, ModelFileError
from flowcli.flows import Flow, build, count_parameters
from flowcli.flows.layers import Permutation
from flowcli.table.infer import MAX_DECIMALS
from flowcli.table.schema import Schema

KIND = "flowcli"
FORMAT = 1


def save(density: Density, path: Path) -> None:
    """Write a model file, whole or not at all.

    Raises:
        ResourceError: The file cannot be written.
    """
    container.write(path, KIND, describe(density), pack(density.coordinates, density.flow))


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
    """The JSON document of a model file."""
    return {
        "format": FORMAT,
        "version": __version__,
        "config": density.config.to_json(),
        "columns": density.schema.to_json(),
        "summary": density.summary,
    }


def pack(coordinates: Coordinates, flow: Flow) -> container.Tensors:
    """The tensors of a model file, by name."""
    return {f"flow.{name}": tensor for name, tensor in flow.state_dict().items()} | pack_coordinates(coordinates)


def pack_coordinates(coordinates: Coordinates) -> container.Tensors:
    """The inverse of ``unpack_coordinates``."""
    tensors = {"coordinates.center": coordinates.center, "coordinates.scale": coordinates.scale}
    if coordinates.marginal is not None:
        for part in ("positions", "heights", "slopes"):
            tensors[f"coordinates.marginal.{part}"] = getattr(coordinates.marginal, part)
    return tensors


def restore(document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Density:
    """The inverse of ``describe`` and ``pack``.

    Raises:
        ModelFileError: The parts contradict each other.
    """
    if document["format"] != FORMAT:
        raise ModelFileError(
            f"has format {document['format']}, this flowcli {__version__} reads format {FORMAT};"
            f" needs flowcli >= {document.get('version')}"
        )
    config = from_mapping(document["config"])
    coordinates = unpack_coordinates(unpack_schema(document["columns"]), tensors)
    first = config.flow.layers[0] if config.flow.layers else None
    if (coordinates.marginal is not None) != (isinstance(first, Marginal) and first.marginal == "quantile"):
        raise ModelFileError("its config and its tensors differ on whether there is a quantile map")
    if surprise := sorted(tensors.keys() - pack_coordinates(coordinates).keys() - _of_flow(tensors).keys()):
        raise ModelFileError(f"{surprise[0]} is superfluous")
    flow = unpack_flow(config, coordinates.columns, tensors)
    return Density(coordinates, flow, config, dict(document["summary"]))


def unpack_schema(columns: list[dict[str, Any]]) -> Schema:
    """The schema among the document of a model file or a state.

    Raises:
        ModelFileError: There is no such column.
    """
    schema = Schema.from_json(columns)
    if not columns or len(set(schema.names)) < len(columns):
        raise ModelFileError("its columns are none, or two have one name")
    for column in schema.columns:
        numbers = (column.lower, column.upper, column.value, column.step)
        if not all(n is None or (isinstance(n, int | float) and math.isfinite(n)) for n in numbers):
            raise ModelFileError(f"column {column.name!r}: {numbers} are not finite numbers")
        possible = {
            "real": True,
            "positive": True,
            "bounded": column.lower is not None and column.upper is not None and column.lower < column.upper,
            "constant": column.value is not None,
        }.get(column.kind, False)
        possible = possible and isinstance(column.name, str) and (column.step is None or column.step > 0)
        if not possible or (column.decimals is not None and column.decimals not in range(MAX_DECIMALS + 1)):
            raise ModelFileError(f"column {column.name!r}: there is no such column as {column}")
    return schema


def unpack_coordinates(schema: Schema, tensors: Mapping[str, Tensor]) -> Coordinates:
    """The coordinates among the tensors of a model file."""
    free = sum(column.kind != "constant" for column in schema.columns)
    center, scale = (_expect(tensors, f"coordinates.{part}", (free,), torch.float64) for part in ("center", "scale"))
    if not (scale > 0).all():
        raise ModelFileError("coordinates.scale is not positive")
    marginal = None
    if "coordinates.marginal.positions" in tensors:
        shape = (free, *tensors["coordinates.marginal.positions"].shape[1:2])
        positions, heights, slopes = (
            _expect(tensors, f"coordinates.marginal.{part}", shape, torch.float64)
            for part in ("positions", "heights", "slopes")
        )
        if (
            len(shape) < 2
            or shape[1] < 2
            or not ((positions.diff() > 0).all() and (heights.diff() > 0).all() and (slopes > 0).all())
        ):
            raise ModelFileError("the quantile map is not increasing")
        marginal = QuantileMap(positions, heights, slopes)
    return Coordinates(schema, center, scale, marginal)


def unpack_flow(config: Config, columns: int, tensors: Mapping[str, Tensor]) -> Flow:
    """The flow of that config, with its weights among the tensors of a model file."""
    stored = {name.removeprefix("flow."): tensor for name, tensor in _of_flow(tensors).items()}
    needed, found = count_parameters(config.flow, columns), sum(tensor.numel() for tensor in stored.values())
    if needed > found:  # found out before anything is made, so that no config can ask for more memory than its file has
        raise ModelFileError(f"its tensors do not fit its config: {found:,} numbers for {needed:,} parameters")
    with torch.random.fork_rng(devices=[]):
        flow = build(config.flow, columns)
    expected = flow.state_dict()
    if surprise := sorted(stored.keys() ^ expected.keys()):
        raise ModelFileError(f"its tensors do not fit its config: {surprise[0]} is missing or superfluous")
    for name, tensor in expected.items():
        _expect(tensors, f"flow.{name}", tuple(tensor.shape), tensor.dtype)
    flow.load_state_dict(stored)
    for name, layer in flow.named_modules():
        if isinstance(layer, Permutation) and layer.order.sort().values.tolist() != list(range(columns)):
            raise ModelFileError(f"flow.{name}.order is no order of {columns} columns")
    return flow


def _of_flow(tensors: Mapping[str, Tensor]) -> container.Tensors:
    return {name: tensor for name, tensor in tensors.items() if name.startswith("flow.")}


def _expect(tensors: Mapping[str, Tensor], name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """The tensor of that name, which must have that shape and type and finite values."""
    if name not in tensors:
        raise ModelFileError(f"{name} is missing")
    tensor = tensors[name]
    if tuple(tensor.shape) != shape or tensor.dtype != dtype:
        raise ModelFileError(f"{name} is {tuple(tensor.shape)} {tensor.dtype}, not {shape} {dtype}")
    if tensor.is_floating_point() and not tensor.isfinite().all():
        raise ModelFileError(f"{name} holds values that are not finite")
    return tensor
