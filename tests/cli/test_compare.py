"""``flowcli compare``: the best first, differences row by row, and what cannot be compared."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.cli.terminal import fitted, flowcli, rows

TABLE = "".join(f"{x!r},{2 * x + e!r}\n" for x, e in np.random.default_rng(0).standard_normal((200, 2)).tolist())
DATA = "x,y\n" + TABLE


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Models of the same rows: one that learned, one that did not, and an ensemble."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "d.csv").write_text(DATA)
    fitted(folder / "d.csv", folder / "start.flow", "--epochs", 0)
    fitted(folder / "d.csv", folder / "better.flow", "--epochs", 30, "--set", "train.learning_rate=0.01")
    fitted(folder / "d.csv", folder / "two.flow", "--ensemble", 2)
    return folder


def test_the_best_is_first_and_the_others_are_behind(models):
    paths = [models / f"{name}.flow" for name in ("start", "better", "two")]
    done = flowcli("compare", *paths, models / "d.csv", "--threads", 1)
    assert (done.code, done.err) == (0, "")
    assert "on 200 rows" in done.text
    assert max(map(len, done.lines)) <= 80
    found = json.loads(flowcli("compare", *paths, models / "d.csv", "--json", "--threads", 1).text)
    order = [each["model"] for each in found["models"]]
    assert order[0] == str(paths[1])
    assert found["models"][0]["behind"] == 0
    behind = found["models"][-1]
    assert behind["behind"] == pytest.approx(found["models"][0]["nats"] - behind["nats"])
    assert behind["behind_error"] < behind["error"]
    assert all(each["bytes"] > 1000 and each["seconds_per_100000_rows"] > 0 for each in found["models"])
    # The differences are those of the numbers that logprob writes.
    scores = [
        np.array(flowcli("logprob", path, models / "d.csv").lines[1:], dtype=float) for path in (order[0], order[-1])
    ]
    gap = scores[0] - scores[1]
    assert behind["behind"] == pytest.approx(gap.mean(), abs=1e-6)
    assert behind["behind_error"] == pytest.approx(gap.std(ddof=1) / np.sqrt(200), rel=1e-4)


def test_impossible_rows_are_said_and_the_model_is_behind(tmp_path):
    columns = "kind,x\n"
    few = "".join(
        f"{'ab'[i % 2]},{x!r}\n" for i, x in enumerate(np.random.default_rng(1).standard_normal(100).tolist())
    )
    odd = few + "c,0.5\n" * 3
    (tmp_path / "few.csv").write_text(columns + few)
    (tmp_path / "odd.csv").write_text(columns + odd)
    models = [fitted(tmp_path / f"{name}.csv", tmp_path / f"{name}.flow") for name in ("few", "odd")]
    done = flowcli("compare", *models, tmp_path / "odd.csv")
    assert done.code == 0, done.err
    assert done.lines[1].startswith(f"…{str(models[1])[-17:]}")
    assert " -inf " in done.lines[2]
    assert "3 rows have density zero, so its mean is -inf" in done.text
    found = json.loads(flowcli("compare", *models, tmp_path / "odd.csv", "--json").text)
    assert [each["impossible_rows"] for each in found["models"]] == [0, 3]
    assert found["models"][1]["compared_rows"] == 100
    assert max(map(len, done.lines)) <= 80
    # Where none is left there is no mean of the others.
    (tmp_path / "none.csv").write_text(columns + "c,0.5\n")
    done = flowcli("compare", *models, tmp_path / "none.csv")
    assert "1 row has density zero, so its mean is -inf\n" in done.text
    assert "nan" not in done.text
    assert "on 1 row;" in done.text
    # These models read the rows in different ways, and standard input can be read once.
    assert flowcli("compare", *models, "-", stdin=b"kind,x\na,1\n").code == 2


def test_models_that_count_alike_are_compared_and_others_refused(models, data, tmp_path):
    rounded = fitted(data, tmp_path / "rounded.flow")
    discrete = fitted(data, tmp_path / "discrete.flow", "--kind", "b=discrete")
    real = fitted(data, tmp_path / "given.flow", "--given", "a")
    assert flowcli("compare", rounded, discrete, data).code == 0
    done = flowcli("compare", rounded, real, data)
    assert (done.code, "'a' is given in one or" in done.complaint) == (2, False)
    assert "column 'a' is" in done.complaint
    done = flowcli("compare", rounded, models / "two.flow", data)
    assert done.code == 2
    assert "cannot be compared: one has a column" in done.complaint


def test_one_model_is_none_to_compare(model, data):
    assert flowcli("compare", model, data).code == 2
    assert "one model has nothing to be compared with" in flowcli("compare", model, data).complaint
    assert "stands here twice" in flowcli("compare", model, model, data).complaint
    assert flowcli("compare", model).code == 2
    assert flowcli("compare", model, "nothing.flow", data).code == 2


def test_rows_from_a_pipe(models):
    paths = [models / f"{name}.flow" for name in ("start", "better")]
    assert flowcli("compare", *paths, "-", stdin=DATA.encode()).code == 0
    assert flowcli("compare", *paths, "-", stdin=b"x,y\n").code == 3
    assert flowcli("compare", *paths, "-", stdin=rows().encode()).code == 3
