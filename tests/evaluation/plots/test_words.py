"""Words that fit, and numbers in as few digits as will do."""

from __future__ import annotations

import pytest

from flowcli.evaluation.plots import words


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0, 0.5, 1], ["0", "0.5", "1"]),
        ([-200, 0, 200], ["-200", "0", "200"]),
        ([1.70e9, 1.71e9, 1.72e9], ["1.7e9", "1.71e9", "1.72e9"]),
        ([-2e-30, 0, 2e-30], ["-2e-30", "0", "2e-30"]),
        ([12.5, 15, 17.5], ["12.5", "15", "17.5"]),
        ([99998, 99999, 100000], ["99998", "99999", "1e5"]),
        ([1e300], ["1e300"]),
    ],
)
def test_numbers_are_short_and_exact(values, texts):
    assert words.numbers(values) == texts
    assert [float(text) for text in words.numbers(values)] == pytest.approx(values)


@pytest.mark.parametrize("room", [20, 60, 150])
@pytest.mark.parametrize(
    "name", ["x" * 300, "column $a$ of \x1b[31m many", "日本" * 40, "wide WWWWWWWWWWWWWWWW wide"], ids=range(4)
)
def test_names_are_made_to_fit(name, room):
    shown = words.fitted(name, 8, room)
    assert words.width(shown, 8) <= room
    assert "\x1b" not in shown


def test_a_name_that_fits_stays_whole():
    assert words.fitted("fLength", 8, 100) == "fLength"


@pytest.mark.parametrize(
    ("part", "text"), [(0, "0%"), (1, "100%"), (0.9999, ">99%"), (1e-9, "<0.1%"), (0.0321, "3.2%"), (0.5, "50%")]
)
def test_a_share_is_zero_or_all_only_if_it_is(part, text):
    assert words.share(part) == text
