"""Densities that are wrong in one way each: the right line fails, and those that have nothing to do with it pass."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from flowcli.encoding import Standardizer
from flowcli.encoding.encoder import ColumnEncoder
from flowcli.evaluation.check import check
from flowcli.flows.bases import Normal
from flowcli.flows.layers import LU, Autoregressive
from flowcli.flows.mixed.categorical import CategoricalDensity
from flowcli.flows.mixed.circular import CircularDensity
from flowcli.model import Ensemble, FlowDensity
from tests.evaluation.check.models import mixed, sample


def failed(density) -> dict[str, str]:
    """The names of the lines that fail, with where."""
    return {finding.name: finding.where for finding in check(density) if finding.passed is False}


def rings() -> FlowDensity:
    """Two real columns: a quantile map, twice LU and splines, a normal."""
    return sample("rings", "small")


class WrongSign(Autoregressive):
    def forward(self, x, context=None):
        z, log_det = super().forward(x, context)
        return z, -log_det


class OneDiagonalShort(LU):
    def forward(self, x, context=None):
        z, log_det = super().forward(x, context)
        return z, log_det - self.log_diagonal[0] - 0.01


class Folded(LU):
    def forward(self, x, context=None):
        z, log_det = super().forward(x, context)
        return z.abs(), log_det


class Clamped(LU):
    def forward(self, x, context=None):
        z, log_det = super().forward(x, context)
        return z.clamp(-1, 1), log_det


class InverseTooWide(LU):
    def inverse(self, z, context=None):
        x, log_det = super().inverse(z, context)
        return 1.01 * x, log_det


class WrongBin(Autoregressive):
    def inverse(self, z, context=None):
        before = self.bijection
        self.bijection = Shifted(before)
        try:
            return super().inverse(z, context)
        finally:
            self.bijection = before


class Shifted:
    """A spline whose inverse looks into the bin beside the right one."""

    def __init__(self, spline):
        self._spline = spline

    def inverse(self, z, theta):
        bins = self._spline.bins
        widths, heights, slopes = theta[:bins], theta[bins : 2 * bins], theta[2 * bins :]
        return self._spline.inverse(z, torch.cat([widths.roll(1, 0), heights, slopes]))


class NotANumber(LU):
    def forward(self, x, context=None):
        z, log_det = super().forward(x, context)
        return torch.where(x.abs() > 50, math.nan, z), log_det


class Coarse(LU):
    def forward(self, x, context=None):
        z, log_det = super().forward(x, context)
        return (z, log_det + 0.5) if x.dtype == torch.float32 else (z, log_det)


class TooWide(Normal):
    """A scale that is off by 1% in the constant alone."""

    def log_prob(self, z, context=None):
        return super().log_prob(z, context) + z.shape[1] * math.log(1.01)


class NoConstant(Normal):
    def log_prob(self, z, context=None):
        return super().log_prob(z, context) + 0.5 * z.shape[1] * math.log(2 * math.pi)


LAYERS = {
    "the sign of a log-det": (1, WrongSign, "log-det of layers", "layer 2, WrongSign"),
    "a diagonal that is left out": (2, OneDiagonalShort, "log-det of layers", "layer 3, OneDiagonalShort"),
    "a layer that folds": (0, Folded, "layers and back", "layer 1, Folded"),
    "a layer that clamps": (2, Clamped, "layers and back", "layer 3, Clamped"),
    "an inverse off by 1%": (2, InverseTooWide, "layers and back", "layer 3, InverseTooWide"),
    "the wrong bin of a spline": (3, WrongBin, "layers and back", "layer 4, WrongBin"),
    "no numbers in the tails": (0, NotANumber, "strange rows", None),
    "float32 that is no float64": (0, Coarse, "float32, mean", None),
}


@pytest.mark.parametrize("fault", LAYERS)
def test_a_broken_layer_is_found_and_named(fault):
    index, broken, name, where = LAYERS[fault]
    density = rings()
    density.joint.flow.layers[index].__class__ = broken
    result = failed(density)
    assert name in result
    if where is not None:
        assert result[name] == where
    assert not {"columns and back", "log-det of the columns"} & set(result)
    if name == "log-det of layers":
        assert {"log-det of the whole", "total mass"} <= set(result)
        assert not {"layers and back", "rows and back", "latents and back"} & set(result)


@pytest.mark.parametrize("broken", [TooWide, NoConstant])
def test_a_base_without_mass_one_is_found(broken):
    density = rings()
    density.joint.flow.base.__class__ = broken
    result = failed(density)
    assert "total mass" in result
    assert not [name for name in result if "log-det" in name or "back" in name]


class NoScale(Standardizer):
    def _to_unit(self, values):
        u, log_derivative = super()._to_unit(values)
        return u, log_derivative + torch.log(self.scale)


class NoLogarithm(Standardizer):
    def _to_line(self, values):
        line, log_derivative = super()._to_line(values)
        return line, torch.zeros_like(log_derivative)


class ScaledBack(Standardizer):
    def inverse(self, u):
        return 1.01 * super().inverse(u)


@pytest.mark.parametrize("broken", [NoScale, NoLogarithm])
def test_a_missing_jacobian_of_columns_is_found(broken):
    density = mixed()
    density.encoder.coordinates.__class__ = broken
    result = failed(density)
    assert {"log-det of the columns", "log-det of the whole"} <= set(result)
    assert not {"log-det of layers"} & set(result)
    assert not [each for each in result if "back" in each or "codes" in each]


def test_columns_that_come_back_too_wide_are_found():
    density = rings()
    density.encoder.coordinates.__class__ = ScaledBack
    result = failed(density)
    assert result["columns and back"] in ("x", "y")
    assert not [each for each in result if "log-det" in each or "layers" in each]


class NoTurn(ColumnEncoder):
    def _angles(self, values):
        angles, log_det = super()._angles(values)
        return angles, torch.where(log_det == -math.inf, log_det, 0.0)


def test_angles_without_their_jacobian_are_found():
    density = mixed()
    density.encoder.modelled.__class__ = NoTurn
    result = failed(density)
    assert {"log-det of the columns", "log-det of the whole"} <= set(result)
    assert not {"angles and back", "log-det of layers"} & set(result)


class NoCircle(CircularDensity):
    def sample(self, rows, generator, context=None):
        angles = super().sample(rows, generator, context)
        return torch.where(angles != 0, 0.5 * angles, angles)


def test_angles_drawn_wrongly_are_found():
    density = mixed()
    density.joint.angles.__class__ = NoCircle
    result = failed(density)
    assert "draws against density" in result
    assert not [each for each in result if "log-det" in each or "back" in each or "base" in each]


class NotNormalised(CategoricalDensity):
    def log_probs(self, hot, context=None):
        return super().log_probs(hot, context) + 1e-4


def test_codes_that_do_not_add_up_are_found():
    density = mixed()
    density.joint.codes.__class__ = NotNormalised
    result = failed(density)
    assert "probabilities of codes" in result
    assert not [each for each in result if "log-det" in each or "back" in each or each == "total mass"]


class WrittenWrongly(FlowDensity):
    def draw(self, given, generator):
        return 1.2 * super().draw(given, generator)


def test_rows_that_are_written_wrongly_are_found():
    density = rings()
    density.__class__ = WrittenWrongly
    assert list(failed(density)) == ["rows as written"]


def test_an_ensemble_is_checked_flow_by_flow_and_so_are_its_weights():
    broken = rings()
    broken.joint.flow.layers[1].__class__ = WrongSign
    result = failed(Ensemble([rings(), broken], np.array([0.5, 0.51])))
    assert "weights of the flows" in result
    assert result["flow 2: log-det of layers"] == "layer 2, WrongSign"
    assert not [each for each in result if each.startswith("flow 1: ")]


def test_a_given_column_does_not_hide_a_fault():
    density = mixed("kind", "share")
    assert not failed(density)
    density.encoder.coordinates.__class__ = NoScale
    assert "log-det of the columns" in failed(density)
