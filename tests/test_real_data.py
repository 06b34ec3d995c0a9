"""The main job on a real table: the sample of the MAGIC telescope set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity

import flowcli

SAMPLE_DATA = Path(__file__).parent.parent / "sample_data"


@pytest.mark.slow
def test_a_fit_with_no_config_beats_what_people_use_today() -> None:
    train, new = (pd.read_csv(SAMPLE_DATA / name) for name in ("magic.csv", "magic_new.csv"))
    ours = flowcli.fit(train).log_prob(new)

    mean, scale = train.mean(), train.std()
    unit, new_unit = ((frame - mean) / scale for frame in (train, new))
    mixtures = [GaussianMixture(k, random_state=0, reg_covar=1e-6).fit(unit) for k in (1, 2, 4, 8, 16)]
    mixture = min(mixtures, key=lambda model: model.bic(unit))
    kernels = GridSearchCV(KernelDensity(), {"bandwidth": np.geomspace(0.1, 0.6, 6)}, cv=3).fit(unit[:2000])
    kernel = kernels.best_estimator_.fit(unit)
    for name, rival in (("Gaussian", mixtures[0]), ("mixture", mixture), ("kernel density", kernel)):
        gain = ours - (rival.score_samples(new_unit) - np.log(scale).sum())
        error = gain.std() / np.sqrt(len(gain))
        assert gain.mean() > 5 * error, f"{name}: {gain.mean():.3f} ± {error:.3f}"


@pytest.mark.parametrize("name", ["magic.csv", "rings.csv"])
def test_sample_data_can_be_fitted_as_it_is(name: str) -> None:
    frame = pd.read_csv(SAMPLE_DATA / name)
    assert frame.notna().all().all()
    assert frame.dtypes.map(lambda kind: kind.kind in "fi").all()
    assert len(frame) >= 2000
