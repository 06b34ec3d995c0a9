"""``flowcli info``: what a model file holds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from flowcli.cli import options
from flowcli.text import literal, quoted

if TYPE_CHECKING:
    from flowcli.model import Density


WIDTH = 80


@click.command(short_help="Show what a model is.")
@options.model
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def info(model: str, as_json: bool) -> None:
    """Show what MODEL is.

    Its columns, its architecture, how it was fitted, and what its densities
    are relative to.

    \b
    Examples:
      flowcli info data.flow
      flowcli info data.flow --json | jq .summary.held_out_nats
    """
    import json
    from pathlib import Path

    from flowcli import model as models
    from flowcli.model.files.model_file import describe

    loaded = models.load(Path(model))
    document = describe(loaded)
    if as_json:
        click.echo(json.dumps({**document, "parameters": loaded.parameters, "measure": measure(loaded)}, indent=2))
        return
    _print(model, loaded, document)


def measure(density: Density) -> str:
    """Return what the densities are relative to."""
    columns = [column for column in density.schema.columns if not column.given]
    continuous = [column for column in columns if column.continuous]
    rounded = sum(bool(column.step) for column in continuous)
    sums = [column for column in columns if column.kind == "constant" and column.subtracted_columns]
    counted = len(columns) - len(continuous) - len(sums)
    pieces = []
    if continuous:
        pieces.append(f"Lebesgue measure on {_many(len(continuous), 'continuous column')} in the file's units")
    if counted:
        pieces.append(f"counting measure on {_many(counted, 'discrete or constant column')}")
    if sums:
        pieces.append(f"nothing on {_many(len(sums), 'column')} that follow{'s' * (len(sums) == 1)} from the others")
    if any(column.atoms for column in columns):
        pieces.append("counting measure on atoms")
    if any(column.has_gaps for column in columns):
        pieces.append("counting measure on the pattern of missing cells")
    text = "nats per row, relative to " + ", ".join(pieces)
    if given := [column.name for column in density.schema.columns if column.given]:
        text += f"; given {', '.join(given)}"
    if log_possible := density.encoder.log_possible:
        text += f"; divided by {math.exp(log_possible):.4f}, the probability of rows with possible sums"
    if rounded:
        text += f"; {rounded} rounded: the mass of the cell that was rounded, per unit, as a mean over points in it"
    return text


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _nats(summary: dict[str, Any]) -> str:
    """Return the held-out nats with their error, which nobody knows of one row."""
    error = summary.get("held_out_error")
    return f"{summary.get('held_out_nats', 0):.4f}{'' if error is None else f' ± {error:.4f}'} nats per row"


def _print(model: str, density: Density, document: dict[str, Any]) -> None:
    import textwrap

    import yaml

    from flowcli.model import Ensemble
    from flowcli.model.flow_density import require_flow
    from flowcli.table import decision

    summary = density.summary
    words = density.schema.columns[0].missing_words
    missing = "" if words is None else f"empty cells{''.join(f', {quoted(word)}' for word in words)}"
    late = " until the end" if summary.get("held_out_rows_fitted") else ""
    flows = ""
    if isinstance(density, Ensemble):
        flows = f"{len(density.members)}, weighing {', '.join(f'{weight:.3g}' for weight in density.weights)}"
    for key, value in (
        ("model", model),
        ("made by", f"flowcli {document['version']}, format {document['format']}"),
        ("densities", measure(density)),
        *((("missing", missing),) if missing else ()),
        ("parameters", f"{density.parameters:,}"),
        *((("flows", flows),) if flows else ()),
        *((("chosen", summary["chosen"]),) if "chosen" in summary else ()),
        ("fitted to", f"{summary.get('rows', 0):,} rows, {summary.get('held_out_rows', 0):,} held out{late}"),
        ("held out", _nats(summary)),
        (
            "training",
            f"{summary.get('outcome')} after {summary.get('steps', 0):,} steps, {summary.get('seconds', 0):.0f} s",
        ),
        ("best at step", f"{summary.get('best_step', 0):,}"),
        ("seed", summary.get("seed")),
    ):
        lines = textwrap.wrap(literal(str(value)), WIDTH - 14, break_long_words=False, break_on_hyphens=False) or [""]
        click.echo("\n".join(f"{head:<14}{line}" for head, line in zip([key, *[""] * len(lines)], lines, strict=False)))
    click.echo()
    rows = [("column", "step", "taken for")]
    for column in density.schema.columns:
        step = "" if column.step is None else f"{column.step:g}"
        rows.append((literal(column.name), step, literal(decision(column))))
    name_width, step_width = (max(len(row[i]) for row in rows) for i in range(2))
    # A longer name is printed whole, and pushes what follows out of line.
    name_width = min(name_width, WIDTH - 24)
    for name, step, kind in rows:
        click.echo(f"  {name:<{name_width}}  {step:<{step_width}}  {kind}")
    click.echo()
    members = density.members if isinstance(density, Ensemble) else [require_flow(density)]
    shown: list[dict[str, Any]] = []
    for member in members:
        flow = dict(member.config.to_json()["flow"])
        for part, present in (("discrete", member.joint.codes), ("circular", member.joint.angles)):
            if present is None:
                del flow[part]
        if flow not in shown:
            shown.append(flow)
            text = yaml.safe_dump({"flow": flow}, sort_keys=False, default_flow_style=None, width=WIDTH)
            click.echo(text, nl=False)
