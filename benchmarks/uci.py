"""The five tables by which flows are compared (Papamakarios et al., 2017), with the preprocessing of that paper.

    python -m benchmarks.uci power ARCHIVE                  fit -c uci/power, and the mean log-density of the test rows
    python -m benchmarks.uci gas ARCHIVE --config auto      the same with another config
    python -m benchmarks.uci bsds300 ARCHIVE --write rows   train, valid and test as Parquet, for flowcli on the shell

ARCHIVE is the unpacked folder of the preprocessed tables, zenodo.org/records/1161203, with ``power/data.npy``,
``gas/ethylene_CO.pickle``, ``hepmass/1000_train.csv``, ``hepmass/1000_test.csv``, ``miniboone/data.npy`` and
``BSDS300/BSDS300.hdf5``. A pickle may run any code, so take the archive from nowhere else. The steps were read from the
paper's code (gpapamak/maf) and are kept as they are, with their quirks, since the published figures depend on them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

SHARE = 10  # one row in ten is a test row, and of the others one in ten a validation row
ALIKE = 0.98  # correlation of two gas sensors of which one is enough
MOST_COPIES = 5  # of a column's smallest value

# Durkan et al. (2019), table 1: RQ-NSF (AR), two standard errors over the test rows.
PUBLISHED = {
    "power": (0.66, 0.01),
    "gas": (13.09, 0.02),
    "hepmass": (-14.01, 0.03),
    "miniboone": (-9.22, 0.48),
    "bsds300": (157.31, 0.28),
}


@dataclass(frozen=True)
class Parts:
    """Rows to fit, to choose by and to test on, (N, D) each."""

    train: Numbers
    valid: Numbers
    test: Numbers

    def moved(self, mean: Numbers, scale: Numbers) -> Parts:
        """The same in other units."""
        return Parts(*((part - mean) / scale for part in (self.train, self.valid, self.test)))


def power(archive: Path) -> Parts:
    """Household electricity: rows shuffled, two columns dropped, and the rounding of the others spread over."""
    rows = np.load(archive / "power" / "data.npy").astype(np.float64)
    random = np.random.RandomState(42)  # the generator, and the order of its draws, that the figures were made with
    random.shuffle(rows)
    rows = np.delete(rows, [1, 3], axis=1)  # the reactive power and the intensity
    voltage = 0.01 * random.rand(len(rows), 1)
    gap = 0.001 * random.rand(len(rows), 1)
    meters = random.rand(len(rows), 3)
    return _standard(_split(rows + np.hstack([gap, voltage, meters, np.zeros((len(rows), 1))])))


def gas(archive: Path) -> Parts:
    """Chemical sensors: of those that measure the same, one; standardised by all rows."""
    frame = pd.read_pickle(archive / "gas" / "ethylene_CO.pickle").drop(columns=["Meth", "Eth", "Time"])
    while (alike := (frame.corr() > ALIKE).sum(axis=1) > 1).any():
        frame = frame.drop(columns=alike.idxmax())
    return _split(((frame - frame.mean()) / frame.std()).to_numpy(np.float64))


def hepmass(archive: Path) -> Parts:
    """Collisions: those with a new particle, without columns in which one value, the smallest, is found often."""
    train, test = (pd.read_csv(archive / "hepmass" / f"1000_{part}.csv", index_col=False) for part in ("train", "test"))
    train, test = (frame[frame.iloc[:, 0] == 1].iloc[:, 1:] for frame in (train, test))
    test = test.iloc[:, : train.shape[1]]  # the file of test rows has a column too many
    mean, scale = train.mean().to_numpy(), train.std().to_numpy()
    rows = (train.to_numpy(np.float64) - mean) / scale
    kept = (rows == rows.min(axis=0)).sum(axis=0) <= MOST_COPIES
    cut = len(rows) - len(rows) // SHARE
    others = (test.to_numpy(np.float64) - mean) / scale
    return Parts(rows[:cut, kept], rows[cut:, kept], others[:, kept])


def miniboone(archive: Path) -> Parts:
    """Neutrinos."""
    return _standard(_split(np.load(archive / "miniboone" / "data.npy").astype(np.float64)))


def bsds300(archive: Path) -> Parts:
    """Patches of photographs, as they are stored."""
    import h5py

    with h5py.File(archive / "BSDS300" / "BSDS300.hdf5") as file:
        return Parts(*(file[part][:].astype(np.float64) for part in ("train", "validation", "test")))


LOADERS: dict[str, Callable[[Path], Parts]] = {
    "power": power,
    "gas": gas,
    "hepmass": hepmass,
    "miniboone": miniboone,
    "bsds300": bsds300,
}


def _split(rows: Numbers) -> Parts:
    """The last tenth to test on, and of the others the last tenth to choose by."""
    tested = len(rows) // SHARE
    known = rows[: len(rows) - tested]
    chosen = len(known) // SHARE
    return Parts(known[: len(known) - chosen], known[len(known) - chosen :], rows[len(rows) - tested :])


def _standard(parts: Parts) -> Parts:
    """Columns of mean zero and variance one over the rows that are not tested on."""
    known = np.vstack([parts.train, parts.valid])
    return parts.moved(known.mean(axis=0), known.std(axis=0))


def frames(parts: Parts) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Train, valid and test with names for their columns."""
    names = [f"x{column + 1}" for column in range(parts.train.shape[1])]
    train, valid, test = (pd.DataFrame(part, columns=names) for part in (parts.train, parts.valid, parts.test))
    return train, valid, test


def main() -> None:
    """Load one of the tables, fit, and say how good the test rows are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("table", choices=LOADERS)
    parser.add_argument("archive", type=Path)
    parser.add_argument("--config", help="uci/TABLE if not given")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="change values of the config")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write the rows there and fit nothing")
    arguments = parser.parse_args()
    parts = frames(LOADERS[arguments.table](arguments.archive))
    if arguments.write is not None:
        arguments.write.mkdir(parents=True, exist_ok=True)
        for name, frame in zip(("train", "valid", "test"), parts, strict=True):
            frame.to_parquet(arguments.write / f"{name}.parquet")
        return
    _fit(parts, arguments)


def _fit(parts: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame], arguments: argparse.Namespace) -> None:
    """Fit, and print the mean log-density of the test rows with two standard errors, as papers give it."""
    import torch

    import flowcli
    from flowcli.training import Evaluation

    train, valid, test = parts
    device = arguments.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    began = time.perf_counter()

    def show(event: object) -> None:
        if isinstance(event, Evaluation):
            print(
                f"{time.perf_counter() - began:8.0f} s  step {event.step:,}  valid {event.held_out_nats:.3f}",
                flush=True,
            )

    model = flowcli.fit(
        train,
        valid=valid,
        config=arguments.config or f"uci/{arguments.table}",
        overrides=arguments.set,
        kinds={name: "real" for name in train},
        seed=arguments.seed,
        device=device,
        notice=print,
        show=show,
    )
    log_prob = model.log_prob(test)
    published, error = PUBLISHED[arguments.table]
    print(
        f"{arguments.table}: {log_prob.mean():.3f} ± {2 * log_prob.std() / len(log_prob) ** 0.5:.3f} nats on"
        f" {len(log_prob):,} rows x {test.shape[1]} (RQ-NSF (AR) as published: {published} ± {error})"
    )


if __name__ == "__main__":
    main()
