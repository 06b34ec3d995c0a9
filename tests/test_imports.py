"""No file and no folder imports in a circle: imports for types and inside of functions count too."""

from __future__ import annotations

import ast
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "flowcli"

Graph = dict[str, set[str]]


def modules() -> dict[str, Path]:
    """Return the files of the package by their dotted names."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports() -> Graph:
    """Return for each file the files that it imports."""
    files, graph = modules(), {}
    for name, path in files.items():
        targets = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: imports are absolute"
                dotted = {f"{node.module}.{alias.name}" for alias in node.names}
                targets |= {each if each in files else str(node.module) for each in dotted}
        graph[name] = (targets & files.keys()) - {name}
    return graph


def circle(graph: Graph) -> list[str]:
    """Return one circle of a graph, or nothing."""
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def between_neighbours(graph: Graph) -> dict[str, Graph]:
    """Return for each folder the imports between what lies in it, files and folders, without its ``__init__``."""
    folders: dict[str, Graph] = defaultdict(lambda: defaultdict(set))
    for source, targets in graph.items():
        for target in targets:
            one, other = source.split("."), target.split(".")
            depth = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
            if depth is not None:
                folders[".".join(one[:depth])][one[depth]].add(other[depth])
    return folders


def test_no_files_import_in_a_circle():
    assert circle(imports()) == []


def test_no_folders_import_in_a_circle():
    circles = {folder: circle(graph) for folder, graph in between_neighbours(imports()).items()}
    assert {folder: found for folder, found in circles.items() if found} == {}


def test_a_circle_is_found():
    assert sorted(set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}))) == ["a", "b", "c"]
    graph = {"p.x.one": {"p.y.two"}, "p.y.three": {"p.x.four"}, "p.y.two": set(), "p.x.four": set()}
    assert circle(graph) == []
    assert sorted(set(circle(between_neighbours(graph)["p"]))) == ["x", "y"]
