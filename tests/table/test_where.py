"""Conditions on rows: the same as Python's own, and nothing that Python could do besides."""

from __future__ import annotations

import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcli.errors import UsageError
from flowcli.table import Column, Condition
from flowcli.table.values.words import as_cells

NAMES = ["x", "y", "net price", "class"]
COLUMNS = [Column(name) for name in NAMES]
ROWS = np.array([[0.0, 1.0, 2.0, 3.0], [-1.5, 1.0, 8.0, 3.0], [2.0, -4.0, 0.5, -3.0], [0.1, 0.2, 0.3, 0.4]])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x > 0", [0, 0, 1, 1]),
        ("x>=0 and y<1", [0, 0, 1, 1]),
        ("0 <= x < 2", [1, 0, 0, 1]),
        ("not x > 0 or y == -4", [1, 1, 1, 0]),
        ("x + y * 2 <= -6 / 1.0", [0, 0, 1, 0]),
        ("y in [1, 0.2]", [1, 1, 0, 1]),
        ("y not in (1, .2)", [0, 0, 1, 0]),
        ("-x > 1", [0, 1, 0, 0]),
        ("x % 2 == 0", [1, 0, 1, 0]),
        ("`net price` > 1", [1, 1, 0, 0]),
        ("`class` == 3 and (x == 0)", [1, 0, 0, 0]),
        ("  x\n  > 0 ", [0, 0, 1, 1]),
        ("1 / x > 0", [1, 0, 1, 1]),  # 1 / 0 is infinite
        ("x == 1e400", None),
        ("1 < 2", [1, 1, 1, 1]),
        ("x != 0", [0, 1, 1, 1]),
    ],
)
def test_which_rows_are_meant(text, expected):
    if expected is None:
        assert not Condition(text, COLUMNS)(ROWS).any()
    else:
        assert Condition(text, COLUMNS)(ROWS).tolist() == [bool(each) for each in expected]


numbers = st.one_of(
    st.sampled_from(["x", "y"]),
    st.integers(0, 9).map(str),
    st.floats(0, 9, allow_subnormal=False).map(lambda value: f"{value:.2f}"),
)
arithmetic = st.recursive(
    numbers,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(lambda parts: f"({' '.join(parts)})"),
        inner.map(lambda part: f"(-{part})"),
    ),
    max_leaves=6,
)
comparison = st.one_of(
    st.tuples(arithmetic, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), arithmetic).map(" ".join),
    st.tuples(arithmetic, arithmetic, arithmetic).map(" < ".join),
    st.tuples(arithmetic, st.sampled_from(["in", "not in"]), st.lists(arithmetic, min_size=1, max_size=3)).map(
        lambda parts: f"{parts[0]} {parts[1]} [{', '.join(parts[2])}]"
    ),
)
conditions = st.recursive(
    comparison,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda parts: f"({' '.join(parts)})"),
        inner.map(lambda part: f"not ({part})"),
    ),
    max_leaves=8,
)


@given(conditions)
def test_it_means_what_python_means(text):
    expected = [bool(eval(text, {}, dict(zip(["x", "y"], row, strict=True)))) for row in ROWS[:, :2].tolist()]
    assert Condition(text, COLUMNS[:2])(ROWS[:, :2]).tolist() == expected


@pytest.mark.parametrize("text", ["x > 0", "x < 0", "x == 0", "x != 0", "x in [1]", "x not in [1]", "0 < x < 2"])
def test_a_missing_value_meets_no_comparison(text):
    assert not Condition(text, COLUMNS[:1])(np.array([[math.nan]])).any()


def test_names_need_not_be_words():
    values = np.array([[1.0, 2.0, 3.0, 4.0]])
    names = ["_", "µ", "a > 0", "__0"]
    for text in ("_ == 1", "µ == 2", "`a > 0` == 3", "`_` == 1 and `a > 0` == 3 and __0 == 4"):
        assert Condition(text, [Column(name) for name in names])(values).all(), text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not understood"),
        ("x", "has 'x' where a comparison belongs, such as x > 0"),
        ("x > ", "is not understood"),
        ("x = 1", "is not understood; == compares"),
        ("z > 0", "names no column 'z'; the columns are 'x', 'y', 'net price', 'class'"),
        ("`net prise` > 0", "names no column 'net prise'; did you mean 'net price'?"),
        ("class > 0", "in backquotes"),
        ("x > 0 & y > 0", "write and, not &"),
        ("(x > 0) | (y > 0)", "write or, not |"),
        ("x == 'a'", "has the text 'a' where a number belongs"),
        ("x == True", "has 'True' where a number or a column belongs"),
        ("x is 1", "is does not"),
        ("x in 3", "has '3' after in, where a list belongs"),
        ("x in []", "where a list belongs"),
        ("x > 10**9", "has '10 ** 9' where a number or a column belongs"),
        (f"x > {'9' * 400}", "is too large for a float64"),
        ("__import__('os').system('true') == 0", "where a number or a column belongs"),
        ("x.__class__ == 0", "has 'x.__class__' where a number or a column belongs"),
        ("(lambda: 1)() > 0", "where a number or a column belongs"),
        ("x[0] > 0", "has 'x[0]' where a number or a column belongs"),
        ("(x := 3) > 0", "where a number or a column belongs"),
        ("[x for x in (1,)] == 0", "where a number or a column belongs"),
        ("x > 0 if y else 1", "where a comparison belongs"),
        ("f'{x}' > 0", "where a number or a column belongs"),
        ("x > 1j", "has '1j' where a number or a column belongs"),
        ("(x > 0) > 0", "where a number or a column belongs"),
        ("x > 0; y > 0", "is not understood"),
        ("x > \0", "is not understood"),
        ("(" * 900 + "x" + ")" * 900, "is not understood"),
        ("not " * 450 + "x > 0", "is nested too deeply"),
        ("-" * 1_900 + "x > 0", "is n"),  # understood by Python's parser or not
        ("x > 0" + " " * 2_000, "is longer than 2,000 characters"),
    ],
)
def test_what_is_no_condition_is_refused_in_one_line(text, said):
    with pytest.raises(UsageError) as refused:
        Condition(text, COLUMNS)
    message = str(refused.value)
    assert said in message
    assert "\n" not in message
    assert len(message) < 400


@given(st.text(max_size=40))
def test_whatever_the_text_it_is_a_condition_or_refused(text):
    with suppress(UsageError):
        assert Condition(text, COLUMNS)(ROWS).shape == (4,)


WRITTEN = [
    Column("day", format="%Y-%m-%d", integer=True),
    Column("digits", format="%Y%m%d", integer=True),
    Column("paid", format="%d/%m/%Y %H:%M"),
    Column("price", format="$#,#", decimals=2),
    Column("mass", words=("<0.1", "unknown"), decimals=1),
]
DATES = np.array([18_992.0, 18_993.0, np.nan])  # 2021-12-31, 2022-01-01
CELLS = np.column_stack(
    [DATES, DATES, 86_400 * DATES + 60, [999.5, 1234.5, np.nan], [2.0, np.nan, np.nan]],
)
CELLS[1, 4] = as_cells(np.array([0]))[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("day > '2021-12-31'", [0, 1, 0]),
        ("'20211231' == day", [1, 0, 0]),
        ("digits >= 20220101", [0, 1, 0]),
        ("digits < '2022-01-01'", [1, 0, 0]),
        ("paid > '2022-01-01'", [0, 1, 0]),
        ("paid <= '31/12/2021 00:01'", [1, 0, 0]),
        ("day in ['2021-12-31', '2022-01-01']", [1, 1, 0]),
        ("price == '$1,234.50' or price < 1000", [1, 1, 0]),
        ("mass == '<0.1'", [0, 1, 0]),
        ("mass != '<0.1'", [1, 0, 0]),
        ("mass < 3", [1, 0, 0]),
        ("day - 1 == 18992", [0, 1, 0]),
    ],
)
def test_a_cell_may_be_written_as_in_the_file(text, expected):
    assert Condition(text, WRITTEN)(CELLS).tolist() == [bool(each) for each in expected]


@pytest.mark.parametrize("text", ["day > 'soon'", "day > 18000", "paid == '12:00'", "mass < 'unknown'", "price > 'a'"])
def test_what_is_no_such_cell_is_refused(text):
    with pytest.raises(UsageError):
        Condition(text, WRITTEN)
