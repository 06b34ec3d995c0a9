"""What a column is, found from its values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flowcli.errors import DataError, UsageError
from flowcli.model.files.model_file import unpack_schema
from flowcli.table import Column, ColumnRequest, Schema, decision, frame_values, from_frame, read_table
from flowcli.table.inference.infer import infer_schema
from flowcli.table.inference.lattice import Written

RNG = np.random.default_rng(0)
WALK = RNG.integers(-300, 300, size=2000)


def column(values: np.ndarray, written: Written = Written(), kind: str | None = None) -> Column:  # noqa: B008
    kinds = {} if kind is None else {"x": kind}
    return infer_schema(["x"], np.asarray(values, float)[:, None], [written], kinds, lambda _: None).columns[0]


GRIDS: dict[str, tuple[np.ndarray, Written, float | None]] = {
    "integers": (WALK, Written(integer=True, decimals=0), 1.0),
    "hundredths": (WALK / 100, Written(decimals=2), 0.01),
    "hundredths, not known": (WALK / 100, Written(), 0.01),
    "with rounding errors": (WALK * 0.1 + 0.2, Written(), 0.1),
    "quarters": (WALK * 0.25, Written(decimals=2), 0.25),
    "quarters, not known": (WALK * 0.25, Written(), 0.25),
    "fives": (WALK * 5, Written(integer=True, decimals=0), 5.0),
    "thousands": (WALK * 1000.0, Written(), 1000.0),
    "Unix times": (1.7e9 + WALK, Written(integer=True, decimals=0), 1.0),
    "Unix times in milliseconds after the point": (1.7e9 + WALK / 1000, Written(decimals=3), 0.001),
    "Unix times in milliseconds, not known": (1.7e9 + WALK / 1000, Written(), 0.001),
    "tiny": (WALK * 1e-30, Written(), 1e-30),
    "tiny with an offset": (np.array([float(f"{k}e-31") for k in WALK + 1000]), Written(), 1e-31),
    "huge": (WALK * 1e30, Written(), 1e30),
    "beyond 2^53": (1.7e18 + WALK * 1024.0, Written(integer=True, decimals=0), 1024.0),
    "an outlier": (np.append(WALK / 100, 1e30), Written(decimals=2), 0.01),
    "an outlier, not known": (np.append(WALK / 100, 1e30), Written(), 0.01),
    "float32": ((WALK / 100).astype(np.float32), Written(kind=np.float32), 0.01),
    "tenths, and few hundredths, all even": (np.r_[np.arange(60) / 10, 1.3, 0.14, 2.98], Written(decimals=2), 0.01),
    "whole, and few that end in five": (np.r_[np.arange(60) * 10, 130, 705], Written(integer=True, decimals=0), 1.0),
    "whole, and many that end in five": (np.r_[np.arange(60) * 5, 5], Written(integer=True, decimals=0), 5.0),
    "as many digits as a float64 has": (np.round(np.repeat(RNG.normal(size=1000) / 100, 2), 15), Written(), None),
    "two values": (WALK % 2 * 7, Written(integer=True, decimals=0), 7.0),
    "not rounded": (RNG.normal(size=2000), Written(), None),
    "not rounded but doubled": (np.repeat(RNG.normal(size=1000), 2), Written(), None),
    "rounded, no repeats": (np.arange(2000) / 100, Written(decimals=2), None),
    "a spike at zero": (np.where(RNG.random(2000) < 0.5, 0.0, RNG.normal(size=2000)), Written(), None),
    "irrational grid": (WALK * np.pi, Written(), np.pi),
}


@pytest.mark.parametrize(("values", "written", "step"), GRIDS.values(), ids=GRIDS.keys())
def test_the_step_of_a_rounded_column(values: np.ndarray, written: Written, step: float | None) -> None:
    assert column(values, written).step == (step if step is None else pytest.approx(step, rel=1e-14))


LOGS = RNG.lognormal(5, 2, size=4000)
POISSON = RNG.poisson(3.0, size=4000)
WHOLE = Written(integer=True, decimals=0)
TAKEN: dict[str, tuple[np.ndarray, Written, str]] = {
    "a normal": (RNG.normal(size=500), Written(), "real"),
    "a log-normal": (LOGS, Written(), "positive"),
    "as many zeros": (np.where(RNG.random(4000) < 0.4, 0, LOGS), Written(), "positive; 0 apart"),
    "a few zeros below a log-normal": (np.where(np.arange(4000) < 15, 0, LOGS), Written(), "positive; 0 apart"),
    "a few zeros below a normal": (np.r_[np.zeros(15), RNG.normal(9, 1, 4000)], Written(), "real"),
    "one zero below a log-normal": (np.r_[0.0, LOGS], Written(), "real"),
    "a spike in the middle": (
        np.where(RNG.random(4000) < 0.2, 7.0, RNG.normal(7, 1, 4000)),
        Written(),
        "real; 7 apart",
    ),
    "shares": (RNG.beta(0.5, 0.5, 4000), Written(), "bounded, 0 to 1"),
    "shares far from one": (RNG.beta(2, 50, 4000), Written(), "positive"),
    "percentages": (
        np.round(100 * RNG.beta(0.7, 0.7, 4000), 1),
        Written(decimals=1),
        "bounded, 0 to 100, in steps of 0.1",
    ),
    "counts": (POISSON, WHOLE, f"{POISSON.max() + 1} values or another"),
    "years of many rows": (RNG.integers(2000, 2020, 25_000), WHOLE, "20 values"),
    "years of fewer rows": (RNG.integers(2000, 2020, 5000), WHOLE, "real, in steps of 1"),
    "years of few rows": (RNG.integers(2000, 2020, 60), WHOLE, "real, in steps of 1"),
    "round prices among others": (
        np.where(RNG.random(9000) < 0.5, 500, RNG.integers(400, 600, 9000)),
        WHOLE,
        "200 values",
    ),
}


@pytest.mark.parametrize(("values", "written", "kind"), TAKEN.values(), ids=TAKEN.keys())
def test_what_numbers_are_taken_for(values: np.ndarray, written: Written, kind: str) -> None:
    assert decision(column(values, written)) == kind


def test_that_no_row_is_below_zero_does_not_make_it_impossible() -> None:
    found = column(LOGS)
    assert found.kind == "positive"
    assert found.linear_below is not None
    assert 0 < found.linear_below < LOGS.min() / 2
    assert found.support == (-np.inf, np.inf)
    assert column(LOGS, kind="positive").support == (0, np.inf)
    assert column(1e-300 * LOGS).linear_below is None
    # Beside a value of their own the others do begin somewhere.
    for atom in (0.0, 0.5, -999.0):
        found = column(np.where(RNG.random(4000) < 0.3, atom, max(atom, 0) + LOGS))
        assert (found.kind, found.atoms, found.linear_below) == ("positive", (atom,), None)
        assert unpack_schema(Schema((found,)).to_json()).columns == (found,)


def test_a_constant_column(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("a,b,c\n1.50,1,0.5\n1.5,2,0.5\n1.5,2,1e-1\n")
    schema = read_table(str(path), ColumnRequest(kinds={"a": "bounded:1,2", "b": "real"}), notice=lambda _: None).schema
    assert schema.columns[0] == Column("a", "constant", value=1.5, decimals=2)
    assert schema.columns[1] == Column("b", "real", step=1.0, decimals=0, integer=True)
    assert (schema.columns[2].step, schema.columns[2].decimals) == (0.1, None)


def test_repeated_values_on_no_grid_are_said() -> None:
    notices: list[str] = []
    values = np.concatenate([RNG.normal(size=300), np.repeat(RNG.normal(size=50), 2)])
    infer_schema(["x"], values[:, None], [Written()], {}, notices.append)
    assert len(notices) == 1
    assert "repeated values" in notices[0]


@pytest.mark.parametrize(
    ("values", "kind", "said"),
    [
        ([1.5, -1.0, 3.25], "positive", "row 2: -1.0 is outside"),
        ([1.5, 0.0, 3.25], "positive", "above 0"),
        ([0.5, 0.25, 1.0], "bounded:0,1", "strictly between 0.0 and 1.0"),
        ([0, 1, 1, 2], "bounded:0,1", "from 0.0 to 1.0"),
    ],
)
def test_values_outside_a_given_support(values: list[float], kind: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        column(np.array(values), kind=kind)


def test_a_rounded_column_may_touch_its_bounds() -> None:
    found = column(np.array([0, 1, 1, 0.5] * 3), Written(decimals=1), "bounded:0,1")
    assert (found.kind, found.step) == ("bounded", 0.5)
    assert column(np.array([0, 1, 1, 2]), kind="positive").step == 1.0


def test_kinds_that_make_no_sense() -> None:
    values = np.array([[1.0], [2.0]])
    with pytest.raises(UsageError, match="--kind: there is no column 'pirce'; did you mean 'price'"):
        infer_schema(["price"], values, [Written()], {"pirce": "positive"}, lambda _: None)
    with pytest.raises(UsageError, match="not a kind"):
        infer_schema(["price"], values, [Written()], {"price": "negative"}, lambda _: None)


@pytest.mark.parametrize(
    ("cells", "integer", "decimals"),
    [
        (["1", "-20", " 3 "], True, 0),
        (["1", "2.", "3"], False, 0),
        (["1.5", "2.50", "3"], False, 2),
        (["1.5", " 2.123456789012 ", "3"], False, 12),
        (["1.5", "2.1234567890123", "3"], False, None),
        (["1", "2e3", "3"], False, None),
    ],
)
def test_how_cells_are_written(tmp_path: Path, cells: list[str], integer: bool, decimals: int | None) -> None:
    path = tmp_path / "d.csv"
    path.write_text("x\n" + "".join(f"{cell}\n" for cell in cells))
    found = read_table(str(path), notice=lambda _: None).schema.columns[0]
    assert (found.integer, found.decimals) == (integer, decimals)


def test_a_frame_is_read_like_a_file() -> None:
    frame = pd.DataFrame(
        {
            "n": [1, 2, 3],
            "x": [0.25, 1.5, -2.0],
            "s": np.array([0.1, 0.2, 0.3], dtype=np.float32),
            "maybe": pd.array([1, 2, 3], dtype="Int64"),
            "loose": pd.Series([1, 2.5, 3], dtype=object),
            7: [1.0, 2.0, 3.0],
        }
    )
    table = from_frame(frame, ColumnRequest(kinds={"n": "positive"}), notice=lambda _: None)
    assert table.schema.names == ["n", "x", "s", "maybe", "loose", "7"]
    assert [(c.integer, c.decimals) for c in table.schema.columns] == [
        (True, 0), (False, 2), (False, 1), (True, 0), (False, 1), (False, 0)
    ]  # fmt: skip
    assert np.array_equal(table.values, frame.to_numpy(dtype=float))
    assert np.array_equal(frame_values(frame, [Column("7"), Column("n")]), [[1, 1], [2, 2], [3, 3]])


BAD_FRAMES: dict[str, tuple[Callable[[], pd.DataFrame], str]] = {
    "nothing": (lambda: pd.DataFrame({"t": [None, None]}), "nothing is left to be modelled: left out: 't' is empty"),
    "names": (
        lambda: pd.DataFrame({"t": [f"row {i}" for i in range(50)]}),
        "nothing is left to be modelled: left out: 't' names the rows",
    ),
    "infinite": (lambda: pd.DataFrame({"t": [1.0, np.inf]}), "'t': row 2 is inf, not finite"),
    "twice": (lambda: pd.DataFrame([[1, 2]], columns=["t", "t"]), "same name 't'"),
    "no rows": (lambda: pd.DataFrame({"t": pd.array([], dtype="float64")}), "no rows"),
}


@pytest.mark.parametrize(("frame", "said"), BAD_FRAMES.values(), ids=BAD_FRAMES.keys())
def test_frames_that_cannot_be_used(frame: Callable[[], pd.DataFrame], said: str) -> None:
    with pytest.raises(DataError, match=said):
        from_frame(frame(), notice=lambda _: None)


def test_a_frame_to_score_needs_its_columns() -> None:
    with pytest.raises(DataError, match="the frame: there is no column 'y'"):
        frame_values(pd.DataFrame({"x": [1.0]}), [Column("x"), Column("y")])
    with pytest.raises(DataError, match="'x': is of type"):
        frame_values(pd.DataFrame({"x": ["a"]}), [Column("x")])


def test_a_frame_of_all_types() -> None:
    frame = pd.DataFrame(
        {
            "text": ["b", "a", None, " a "],
            "category": pd.Categorical(["x", None, "y", "x"]),
            "truth": [True, False, True, True],
            "date": pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-01", None]),
            "mixed": [1, "b", 2, "b"],
            "missing": [1.0, None, 2.0, 3.5],
        }
    )
    table = from_frame(frame, notice=lambda _: None)
    nan = np.nan
    assert [column.levels for column in table.schema.columns[:3]] == [("a", "b"), ("x", "y"), ("false", "true")]
    assert [column.kind for column in table.schema.columns[:3]] == ["category", "category", "boolean"]
    expected = [
        [1, 0, nan, 0],
        [0, nan, 1, 0],
        [1, 0, 1, 1],
        [18262, 18263, 18262, nan],
        [0, 2, 1, 2],
        [1, nan, 2, 3.5],
    ]
    assert np.array_equal(table.values.T, expected, equal_nan=True)
    assert np.array_equal(frame_values(frame, table.schema.columns), table.values, equal_nan=True)
    other = frame.assign(text="zebra")
    assert (frame_values(other, table.schema.columns)[:, 0] == -1).all()
