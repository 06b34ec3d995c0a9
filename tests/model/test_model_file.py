"""Model files and training states: to the bit, or refused with a reason."""

from __future__ import annotations

import json
import pickle
import random
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch

from flowcli import model as models
from flowcli.errors import ModelFileError, ResourceError, UsageError
from flowcli.model.files import container, model_file
from flowcli.model.files.state_file import load_state, save_state
from flowcli.model.held_out import HeldOut
from flowcli.table.schema import Column
from tests.fits import fitted, prepared, rows, table

SMALL = ["flow.layers.1.layers.1.autoregressive.net.hidden=[8, 8]", "flow.layers.1.repeat=2"]
COLUMNS = [Column("günstig", "positive"), Column("c", "constant", value=2.0), Column("n", step=1.0, integer=True)]


def values():
    cloud = rows(200, 2)
    return np.column_stack([np.exp(cloud[:, 0]), np.full(200, 2.0), np.round(3 * cloud[:, 1])])


@pytest.fixture(scope="module")
def fit():
    return fitted(table(values(), COLUMNS), "nsf", SMALL)


@pytest.fixture
def path(fit, tmp_path):
    models.save(fit, tmp_path / "model.flow")
    return tmp_path / "model.flow"


@pytest.fixture
def rewrite(path):
    """Change a model file and sign it anew: only what it says is wrong then, not its digest."""

    def change(edit):
        document, tensors = container.read(path, "flowcli")
        edit(document, tensors)
        container.write(path, "flowcli", document, tensors)

    return change


def test_what_was_saved_comes_back_to_the_bit(fit, path):
    again = models.load(path)
    assert np.array_equal(fit.log_prob(values()), again.log_prob(values()))
    assert np.array_equal(fit.log_prob(values(), double=True), again.log_prob(values(), double=True))
    assert np.array_equal(fit.sample(500, seed=2), again.sample(500, seed=2))
    assert again.schema == fit.schema
    assert again.config == fit.config
    assert again.summary == fit.summary


@pytest.mark.parametrize("name", ["auto", "mixture", "glow", "gaussianization", "maf-mixture", "realnvp"])
def test_every_part_of_a_flow_comes_back(name, tmp_path):
    model = fitted(table(rows(100, 2)), name)
    models.save(model, tmp_path / "m.flow")
    again = models.load(tmp_path / "m.flow")
    assert np.array_equal(model.log_prob(rows(50, 2)), again.log_prob(rows(50, 2)))
    assert np.array_equal(model.sample(50, seed=0), again.sample(50, seed=0))


def test_loading_leaves_the_random_state_alone(path):
    before = torch.random.get_rng_state()
    models.load(path)
    assert torch.equal(before, torch.random.get_rng_state())


def test_truncated_anywhere(path):
    content = path.read_bytes()
    for length in [*range(0, 40), *range(40, len(content), len(content) // 100), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(ModelFileError):
            models.load(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(ModelFileError):
        models.load(path)


def test_any_bit_flipped(path):
    content = path.read_bytes()
    chance = random.Random(0)
    header = 8 + int.from_bytes(content[:8], "little")
    indices = [*range(16), *(chance.randrange(header) for _ in range(250))]
    indices += [chance.randrange(header, len(content)) for _ in range(100)]
    for index in indices:
        damaged = bytearray(content)
        damaged[index] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError, match=r"model\.flow"):
            models.load(path)


def test_other_files(path):
    torch.save({"a": torch.zeros(3)}, path)
    with pytest.raises(ModelFileError, match="not a flowcli file"):
        models.load(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ModelFileError):
        models.load(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a", "b")
    with pytest.raises(ModelFileError):
        models.load(path)
    for content in (b"", b"x,y\n1,2\n", b"\xff" * 100, (2**62).to_bytes(8, "little") + b"{}"):
        path.write_bytes(content)
        with pytest.raises(ModelFileError):
            models.load(path)
    container.write(path, "something else", {}, {"a": torch.zeros(1)})
    with pytest.raises(ModelFileError, match="made by something else"):
        models.load(path)


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        models.load(tmp_path / "none.flow")
    with pytest.raises(UsageError, match="folder"):
        models.load(tmp_path)


def test_nothing_unlawful_is_written(fit, tmp_path):
    with pytest.raises(ResourceError, match="folder"):
        models.save(fit, tmp_path / "folder" / "m.flow")


def test_the_file_holds_neither_rows_nor_paths_nor_pickles(fit, path, tmp_path):
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert set(header["__metadata__"]) == {"flowcli", "sha256"}
    document = json.loads(header["__metadata__"]["flowcli"])
    assert set(document) == {"format", "version", "config", "columns", "summary"}
    assert str(tmp_path).encode() not in content
    for row in values()[:, 0]:
        assert np.float64(row).tobytes() not in content
    assert not content.startswith((b"\x80", b"PK"))


def edits():
    def drop(name):
        return lambda document, tensors: tensors.pop(name)

    def put(name, value):
        return lambda document, tensors: tensors.__setitem__(name, value(tensors.get(name)))

    def say(key, value):
        return lambda document, tensors: document.__setitem__(key, value(document.get(key)))

    def column(index, **changes):
        return lambda document, tensors: document["columns"][index].update(changes)

    def any_weight(change):
        def edit(document, tensors):
            name = next(n for n in sorted(tensors) if n.endswith("weight") and tensors[n].ndim == 2)
            tensors[name] = change(tensors[name])

        return edit

    def nan(tensor):
        tensor = tensor.clone()
        tensor.view(-1)[0] = torch.nan
        return tensor

    return {
        "nan-weight": any_weight(nan),
        "infinite-weight": any_weight(lambda t: torch.full_like(t, torch.inf)),
        "double-weight": any_weight(lambda t: t.double()),
        "transposed-weight": any_weight(lambda t: t.t().reshape(1, -1)),
        "huge-weight": any_weight(lambda t: torch.zeros(3000, 300)),
        "missing-weight": lambda document, tensors: tensors.pop(next(n for n in sorted(tensors) if "weight" in n)),
        "extra-weight": put("flow.extra", lambda _: torch.zeros(1)),
        "extra-tensor": put("extra", lambda _: torch.zeros(1)),
        "missing-center": drop("coordinates.center"),
        "single-center": put("coordinates.center", lambda t: t.float()),
        "long-center": put("coordinates.center", lambda t: torch.cat([t, t])),
        "nan-center": put("coordinates.center", nan),
        "zero-scale": put("coordinates.scale", torch.zeros_like),
        "negative-scale": put("coordinates.scale", lambda t: -t),
        "knots-backwards": put("coordinates.marginal.positions", lambda t: t.flip(1)),
        "flat-heights": put("coordinates.marginal.heights", torch.zeros_like),
        "zero-slopes": put("coordinates.marginal.slopes", torch.zeros_like),
        "one-knot": put("coordinates.marginal.positions", lambda t: t[:, :1].contiguous()),
        "no-dimension": put("coordinates.marginal.positions", lambda t: torch.zeros((), dtype=torch.float64)),
        "missing-slopes": drop("coordinates.marginal.slopes"),
        "missing-quantile-map": lambda document, tensors: [
            tensors.pop(f"coordinates.marginal.{part}") for part in ("positions", "heights", "slopes")
        ],
        "unasked-quantile-map": lambda document, tensors: document["config"]["flow"]["layers"].pop(0),
        "fewer-columns": say("columns", lambda columns: columns[:1]),
        "more-columns": say("columns", lambda columns: [*columns, {"name": "another"}]),
        "no-columns": say("columns", lambda columns: []),
        "same-name-twice": column(0, name="n"),
        "unknown-kind": column(0, kind="circular"),
        "bounds-missing": column(0, kind="bounded"),
        "bounds-reversed": column(0, kind="bounded", lower=1.0, upper=0.0),
        "bounds-of-text": column(0, kind="bounded", lower="0", upper="1"),
        "constant-without-value": lambda document, tensors: document["columns"][1].pop("value"),
        "step-of-text": column(2, step="1"),
        "step-negative": column(2, step=-1.0),
        "decimals-absurd": column(2, decimals=10**9),
        "name-no-text": column(2, name=7),
        "unknown-attribute": column(2, colour="red"),
        "columns-no-list": say("columns", lambda _: "abc"),
        "summary-no-mapping": say("summary", lambda _: 7),
        "unknown-config-key": lambda document, tensors: document["config"].update(colour="red"),
        "auto-left": lambda document, tensors: document["config"]["flow"]["layers"][1].update(repeat="auto"),
        "other-repeat": lambda document, tensors: document["config"]["flow"]["layers"][1].update(repeat=3),
        "no-config": lambda document, tensors: document.pop("config"),
        "no-format": lambda document, tensors: document.pop("format"),
        "format-of-text": say("format", lambda _: "1"),
    }


EDITS = edits()


@pytest.mark.parametrize("name", EDITS)
def test_what_contradicts_itself_is_refused(name, path, rewrite):
    rewrite(EDITS[name])
    with pytest.raises(ModelFileError, match=r"model\.flow") as caught:
        models.load(path)
    assert "\n" not in str(caught.value)


def test_a_permutation_that_is_none_is_refused(tmp_path):
    path = tmp_path / "model.flow"
    models.save(fitted(table(rows(100, 3)), "maf"), path)
    for order in ([0, 1, 1], [0, 1, 3], [-1, 0, 1]):
        document, tensors = container.read(path, "flowcli")
        name = next(n for n in sorted(tensors) if n.endswith(".order"))
        tensors[name] = torch.tensor(order)
        container.write(path, "flowcli", document, tensors)
        with pytest.raises(ModelFileError, match="order"):
            models.load(path)


def test_a_column_that_depends_on_itself_is_refused(tmp_path):
    path = tmp_path / "model.flow"
    models.save(fitted(table(rows(100, 3)), "sparse"), path)
    document, tensors = container.read(path, "flowcli")
    name = next(n for n in sorted(tensors) if n.endswith(".parents"))
    for column, index, parent in ((1, 0, 1), (1, 0, 2), (2, 0, -1), (0, 0, 10**9), (0, 1, -1)):
        changed = tensors[name].clone()
        changed[column, index] = parent
        container.write(path, "flowcli", document, tensors | {name: changed})
        with pytest.raises(ModelFileError, match="depends on itself"):
            models.load(path)


def test_a_newer_format_names_the_version_that_it_needs(path, rewrite):
    rewrite(lambda document, tensors: document.update(format=model_file.FORMAT + 1, version="7.3.0"))
    with pytest.raises(ModelFileError, match=r"needs flowcli >= 7\.3\.0"):
        models.load(path)


@pytest.mark.parametrize("hidden", [[65536, 65536], [4096] * 64])
@pytest.mark.parametrize("residual", [True, False])
def test_huge_sizes_are_refused_before_anything_is_allocated(path, rewrite, hidden, residual):
    def huge(document, tensors):
        net = document["config"]["flow"]["layers"][1]["layers"][1]["autoregressive"]["net"]
        net.update(hidden=hidden, residual=residual)

    rewrite(huge)
    before = resident()
    started = time.monotonic()
    with pytest.raises(ModelFileError):
        models.load(path)
    assert time.monotonic() - started < 5
    assert resident() - before < 200


def resident():
    """The most memory that this process ever held, in MB."""
    resource = pytest.importorskip("resource")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_a_header_that_promises_gigabytes_allocates_none(path):
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**33], "data_offsets": [0, 2**35]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    tracemalloc.start()
    with pytest.raises(ModelFileError):
        models.load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10e6


def test_a_damaged_state_is_refused(tmp_path):
    path = tmp_path / "model.flow.state"
    fitting = prepared(table(values(), COLUMNS), "nsf", SMALL)
    next(fitting.loop.run(lambda: False))
    save_state(fitting.state(), fitting.encoder, path)
    document, tensors, encoder = load_state(path)
    assert torch.equal(encoder.coordinates.scale, fitting.encoder.coordinates.scale)
    assert document["loop"]["step"] == 0
    content = path.read_bytes()
    chance = random.Random(1)
    for _ in range(60):
        damaged = bytearray(content)
        damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError):
            load_state(path)
    for length in range(0, len(content), len(content) // 40):
        path.write_bytes(content[:length])
        with pytest.raises(ModelFileError):
            load_state(path)
    path.write_bytes(content)
    with pytest.raises(ModelFileError):
        models.load(path)
    container.write(path, "flowcli-state", {**document, "format": 99}, tensors)
    with pytest.raises(ModelFileError, match="another version"):
        load_state(path)
    for key, value in (("columns", "abc"), ("columns", [{"name": "x", "kind": "odd"}]), ("columns", None)):
        container.write(path, "flowcli-state", {**document, key: value}, tensors)
        with pytest.raises(ModelFileError):
            load_state(path)


def test_the_payload_digest_is_that_of_the_tensors_alone(fit, path, rewrite):
    before = container.payload_digest(path, "flowcli")
    rewrite(lambda document, tensors: document["summary"].update(seconds=5.0))
    assert container.payload_digest(path, "flowcli") == before
    rewrite(lambda document, tensors: tensors["coordinates.center"].add_(1e-9))
    assert container.payload_digest(path, "flowcli") != before


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0], [1e-300, 1.0, 1.0, 1e-17]])
def test_how_likely_held_out_rows_were_comes_back(path, weights) -> None:
    density = fitted(table(rows(60, 2)), "mixture")
    log_probs = np.array([-3.0, -np.inf, -1.0, -2.0])
    density.held_out = HeldOut.of(log_probs, None if weights is None else np.array(weights))
    model_file.save(density, path)
    again = model_file.load(path).held_out
    assert np.array_equal(again.log_probs, density.held_out.log_probs)
    assert np.array_equal(again.shares, density.held_out.shares)
    assert again.percentiles(np.array([-np.inf, 0.0])).tolist() == [0.0, 1.0]


def test_of_many_held_out_rows_the_least_likely_are_told_apart() -> None:
    log_probs = np.random.default_rng(0).normal(size=300_000)
    result = HeldOut.of(log_probs)
    assert len(result.log_probs) <= 10_000
    assert result.rarest() == 1 / 300_000
    x = np.quantile(log_probs, [0.001, 0.3, 0.9])
    np.testing.assert_allclose(result.percentiles(x), [0.001, 0.3, 0.9], atol=2e-4)
