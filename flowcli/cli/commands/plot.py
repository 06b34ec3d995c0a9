"""``flowcli plot``: pictures of a model, and of data beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from flowcli.cli import options

if TYPE_CHECKING:
    from pathlib import Path

PICTURES = ("corner", "marginals", "training", "calibration", "density", "latents")
FORMATS = (".png", ".svg", ".pdf")


@click.command(short_help="Draw pictures of a model, and of data beside it.")
@options.model
@click.argument("data", type=click.Path(), required=False)
@click.option("-o", "--output", type=click.Path(), metavar="FILE", help="Write the picture to FILE: .png, .svg, .pdf.")
@click.option(
    "--what",
    type=click.Choice([*PICTURES, "all"]),
    metavar="PICTURE",
    help="Which one of those above (default corner), or all.",
)
@click.option("--terminal", is_flag=True, help="Print bars and shares instead.")
@click.option("--columns", metavar="COL,..", help="Show these columns, in this order.")
@click.option(
    "-n",
    "--samples",
    type=options.Whole(1, 1_000_000),
    default=10_000,
    metavar="N",
    help="Rows to draw (default 10000).",
)
@click.option(
    "--seed", type=options.Whole(0, 2**31 - 1), default=0, metavar="N", help="Seed of the picture (default 0)."
)
@click.option(
    "--bad-rows",
    type=click.Choice(["refuse", "nan"]),
    default="refuse",
    metavar="HOW",
    help="Unreadable rows: refuse (default), or nan: leave out.",
)
@options.device
@options.threads
@options.reading
@options.quiet
def plot(
    model: str,
    data: str | None,
    output: str | None,
    what: str | None,
    terminal: bool,
    columns: str | None,
    samples: int,
    seed: int,
    bad_rows: Literal["refuse", "nan"],
    device: str,
    threads: int | None,
    sep: str,
    decimal: str,
    no_header: bool,
    max_bytes: int | None,
    missing: str | None,
    quiet: bool,
) -> None:
    """Draw rows from MODEL and show them over the rows of DATA.

    \b
    corner       pairs of columns: samples as shades, data as points
    marginals    all columns, one by one
    training     train and held-out nats over the epochs
    calibration  whether as many rows as should lie below each quantile
    density      the density itself, of one or two continuous columns
    latents      whether the flow makes of DATA what it should

    Without DATA there are samples alone. Of over eight columns the corner
    shows the most telling ones. With --what all, a PDF has a page for each
    picture; else each is a file: FILE-corner.png and so on.

    \b
    Examples:
      flowcli plot data.flow data.csv -o data.png
      flowcli plot data.flow data.csv --what all -o data.pdf
      flowcli plot data.flow new.csv --columns price,size -o new.svg
      flowcli plot data.flow data.csv --terminal
    """
    from pathlib import Path

    from flowcli.cli import compute
    from flowcli.errors import UsageError

    compute.limit_threads(threads)
    if output is None and not terminal:
        raise UsageError("say where the picture goes with -o FILE.png, or give --terminal")
    if output is None and what is not None:
        raise UsageError("--what is for pictures in files; say where it goes with -o FILE.png")
    wanted = PICTURES if what == "all" else (what or "corner",)
    files = {} if output is None else _files(output, wanted if what == "all" else ())
    from flowcli.cli.reading import need_input, read_options, refuse_overwrite, split_names

    reading = read_options(sep, decimal, no_header, max_bytes, missing)
    for file in files.values():
        refuse_overwrite(model, str(file))
        refuse_overwrite(data, str(file))
    if data is not None:
        need_input(data)
    if data is None and what in ("calibration", "latents"):
        raise UsageError(f"--what {what} compares the model with rows: give DATA")
    if columns is not None and what in ("training", "density", "latents"):
        raise UsageError(f"--columns: {what} has no columns to choose from; corner, marginals and calibration have")

    import logging

    from flowcli import model as models
    from flowcli.cli.plot_inputs import PlotInputs
    from flowcli.cli.say import note, silent

    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it is no news that it looks for fonts
    where = compute.set_up(device, threads)
    loaded = models.load(Path(model), where)
    say = silent if quiet else note
    inputs = PlotInputs(loaded, Path(model).name, samples, seed, compute.processes(where, threads), say)
    inputs.choose(split_names(columns, "--columns"), corner=bool(files) and "corner" in wanted)
    if data is not None:
        inputs.read(data, reading, bad_rows)
    if terminal:
        from flowcli.cli.views.terminal_plot import print_terminal_plot

        print_terminal_plot(inputs)
    if output is not None:
        inputs.write(files, wanted)


def _files(output: str, pool: tuple[str, ...]) -> dict[str, Path]:
    """Return the files that are written, by the picture in each; by nothing where there is one file."""
    from pathlib import Path

    from flowcli.atomic import replacing_is_possible
    from flowcli.errors import UsageError

    path = Path(output)
    if output == "-":
        raise UsageError("-o -: a picture is a file; give -o FILE.png, or --terminal for bars")
    if path.suffix.lower() not in FORMATS or path.is_dir():
        what = "is a folder" if path.is_dir() else f"the name of a picture ends with {', '.join(FORMATS[:-1])} or .pdf"
        raise UsageError(f"-o {output}: {what}")
    files = {"": path}
    if pool and path.suffix.lower() != ".pdf":
        files = {name: path.with_name(f"{path.stem}-{name}{path.suffix}") for name in pool}
    for file in files.values():
        replacing_is_possible(file)
    return files
