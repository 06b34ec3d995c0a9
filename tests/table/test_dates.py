"""Dates and times that are written as texts: their format, their numbers, and back."""

from __future__ import annotations

import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcli.table.values.dates import DAY, DateFormat, find_date_format

FORMATS = {
    "%Y-%m-%d": ["2001-01-23", "2020-02-29"],
    "%-m/%-d/%y": ["1/1/11", "10/23/11"],
    "%d/%m/%Y": ["03/04/2010", "13/04/2010"],
    "%m/%d/%Y": ["03/14/2010", "12/04/2010"],
    "%Y/%m/%d %H:%M:%S": ["2016/01/01 03:11:20", "2016/12/31 23:59:59"],
    "%Y-%m-%dT%H:%M:%SZ": ["2021-06-24T11:06:32Z"],
    "%Y-%m-%dT%H:%M:%S+02:00": ["2021-06-24T11:06:32+02:00", "1969-12-31T23:59:59+02:00"],
    "%Y-%m-%d %H:%M:%S.%3f": ["2010-08-17 10:00:00.125"],
    "%d.%m.%Y %H:%M": ["31.12.1999 23:59"],
    "%b %-d, %Y": ["Jan 5, 2010", "Feb 28, 2011"],
    "%Y-%m": ["2001-01", "1969-12"],
    "%Y Q%q": ["1970 Q1", "1949 Q4"],
    "%H:%M": ["12:30", "00:00"],
    "%-I:%M %p": ["5:15 PM", "12:00 AM", "12:01 PM"],
    "%Y%m%d": ["20100101", "20111231"],
}


@pytest.mark.parametrize(("text", "cells"), FORMATS.items())
def test_a_format_is_found_and_its_cells_come_back(text, cells):
    form, more = find_date_format(cells)
    assert form is not None
    assert (form.text, more) == (text, False)
    assert form.texts(form.numbers(cells)) == cells


@pytest.mark.parametrize(
    "cells",
    [["2021-02-30"], ["03/04/2010", "05/04/2010"], ["1.5"], ["a1"], ["2010-13-01"], ["24:00"], ["2010", "2011"]],
)
def test_what_is_no_date_or_may_be_two_has_no_format(cells):
    assert find_date_format(cells)[0] is None


def test_the_user_says_which_of_two_it_is():
    cells = ["03/04/2010", "05/04/2010"]
    assert find_date_format(cells) == (None, True)
    form, _ = find_date_format(cells, "%d/%m/%Y")
    assert form is not None
    assert form.numbers(cells)[1] - form.numbers(cells)[0] == 2


@given(st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59)))
def test_numbers_are_those_of_the_calendar(moment):
    moment = moment.replace(microsecond=0)
    form = DateFormat("%Y-%m-%d %H:%M:%S")
    (seconds,) = form.numbers([moment.isoformat(" ")])
    assert seconds == (moment - datetime.datetime(1970, 1, 1)).total_seconds()
    assert form.texts(np.array([seconds])) == [moment.isoformat(" ")]


@pytest.mark.parametrize("text", FORMATS)
def test_every_number_is_written_as_a_possible_date(text):
    form = DateFormat(text)
    numbers = np.array([-1e300, -1e12, -1.5, -0.4, 0.5, 0.49, 1e5 + 0.7, DAY - 0.3, 1e12, 1e300])
    cells = form.texts(numbers)
    assert np.array_equal(form.numbers(cells), form.rounded(numbers))
