"""Pictures that look the same whatever a user's own settings of matplotlib are, and the same bytes in every run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import IO, Literal, ParamSpec, TypeVar

import matplotlib
from matplotlib.figure import Figure

from flowcli.evaluation.plots.sheet import DPI

Format = Literal["png", "svg", "pdf"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


@contextmanager
def _defaults() -> Iterator[None]:
    """Matplotlib's own settings, and the user's again afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        # A fixed salt, without which the names of parts of an SVG are random.
        matplotlib.rcParams.update({"svg.hashsalt": "flowcli", "path.simplify": True})
        yield


def unaffected(draw: Callable[_P, _T]) -> Callable[_P, _T]:
    """Draw as if nobody had changed a setting."""

    @wraps(draw)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with _defaults():
            return draw(*args, **kwargs)

    return drawn


def write_picture(figure: Figure, file: IO[bytes], form: Format) -> None:
    """Write a picture to an open file, without the date, so that the same picture is the same bytes."""
    undated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with _defaults():
        figure.savefig(file, format=form, dpi=DPI, metadata={**undated[form]})


def write_pages(figures: Iterable[Figure], file: IO[bytes]) -> None:
    """Write pictures to an open file as the pages of one PDF."""
    from matplotlib.backends.backend_pdf import PdfPages

    with _defaults(), PdfPages(file, metadata={"CreationDate": None}) as pages:
        for figure in figures:
            pages.savefig(figure, dpi=DPI)
