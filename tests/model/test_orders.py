"""A table with all that spreadsheets have: fitted with no option, and every row that is drawn is a possible one."""

from __future__ import annotations

import datetime
import re

import numpy as np
import pandas as pd
import pytest

from tests.cli.terminal import flowcli
from tests.pages import ROOT

ORDERS = ROOT / "sample_data" / "orders.csv"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Five thousand rows, as a file has them, and their log-densities."""
    folder = tmp_path_factory.mktemp("orders")
    model = folder / "orders.flow"
    assert flowcli("fit", ORDERS, "-o", model, "--epochs", 8, "--seed", 1, "-q").code == 0
    done = flowcli("sample", model, "-n", 5000, "--seed", 1, "--with-logprob", "-o", folder / "drawn.csv")
    assert done.code == 0
    again = flowcli("logprob", model, folder / "drawn.csv", "-o", folder / "again.csv")
    assert again.code == 0
    rows = pd.read_csv(folder / "drawn.csv", dtype=str, keep_default_na=False)
    return rows.assign(again=pd.read_csv(folder / "again.csv")["logprob"])


def test_every_draw_has_a_finite_density_under_its_own_model(drawn):
    assert np.isfinite(drawn["logprob"].astype(float)).all()
    np.testing.assert_allclose(drawn["again"], drawn["logprob"].astype(float), rtol=0, atol=1e-5)


def test_what_names_the_rows_is_not_drawn(drawn):
    assert "order" not in drawn.columns


FORMS = {
    "date": r"20\d\d-\d\d-\d\d",
    "paid": r"\d\d/\d\d/20\d\d \d\d:\d\d:\d\d",
    "clock": r"\d\d:\d\d",
    "price": r"\$\d{1,3}(,\d{3})*\.\d\d",
    "discount": r"\d+\.\d%",
    "zip": r"\d{5}",
    "books": r"\d+",
    "games": r"\d+",
    "items": r"\d+",
    "web": r"[01]\.\d{3}",
    "shop": r"[01]\.\d{3}",
    "kilograms": r"\d+\.\d\d|<0\.1|unknown",
    "country": "DE|US|",
}


@pytest.mark.parametrize("name", FORMS)
def test_cells_are_written_as_in_the_file(drawn, name):
    wrong = [cell for cell in drawn[name] if re.fullmatch(FORMS[name], cell) is None]
    assert wrong == []


def test_dates_and_times_are_possible_ones(drawn):
    for name, form in (("date", "%Y-%m-%d"), ("paid", "%d/%m/%Y %H:%M:%S"), ("clock", "%H:%M")):
        for cell in drawn[name]:
            datetime.datetime.strptime(cell, form)


def test_relations_are_kept(drawn):
    books, games, items = (drawn[name].astype(int) for name in ("books", "games", "items"))
    assert (books + games == items).all()
    thousandths = sum(drawn[name].str.replace(".", "", regex=False).astype(int) for name in ("web", "shop", "phone"))
    assert (thousandths == 1000).all()


def test_words_and_missing_cells_come_as_often_as_in_the_file(drawn):
    rows = pd.read_csv(ORDERS, dtype=str)
    for name, cell in (("kilograms", "<0.1"), ("kilograms", "unknown"), ("zip", "00501")):
        share = (rows[name] == cell).mean()
        assert (drawn[name] == cell).mean() == pytest.approx(share, abs=0.05)
    assert (drawn["country"] == "").mean() == pytest.approx(rows["country"].isna().mean(), abs=0.05)
