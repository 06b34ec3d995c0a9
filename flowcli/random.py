"""Named streams of random numbers.

Every random number of flowcli is a function of a user's seed, of what it is for, and of where it is used (an epoch, a
step, a block of rows). So runs repeat, a fit resumes where it stopped, and no two purposes share their numbers.
"""

from __future__ import annotations

from enum import IntEnum, unique

import numpy as np


@unique
class Stream(IntEnum):
    """What random numbers are for. The values are part of every seeded result: add new ones, change none."""

    # Fitting.
    HELD_OUT_SPLIT = 1
    EPOCH_DEQUANTIZATION = 2
    EPOCH_ORDER = 3
    MIXTURE_START = 4
    TRAINING_STEP = 5
    TRAINING_SAMPLE = 6
    HELD_OUT_DEQUANTIZATION = 7
    WEIGHTS = 8
    COLLINEARITY_NOISE = 9
    FOLDS = 12
    QUICK_SAMPLE = 13
    REFIT_DEQUANTIZATION = 14
    HELD_OUT_SAMPLE = 15
    MAP_DEQUANTIZATION = 16
    REFIT_ROWS = 17
    VALUE_HALVES = 18
    COPULA_TIES = 19
    MIXED_FLAGS = 20
    # Scoring and drawing.
    ROUNDING_POINTS = 11
    SAMPLE = 31
    COMPLETE = 32
    AROUND_FIXED = 33
    IMPUTE = 34
    CANDIDATES = 35
    PROPOSAL_START = 36
    PROPOSAL_DRAWS = 37
    POSSIBLE_SUMS = 38
    # Evaluating.
    COVERAGE = 21
    CALIBRATION = 22
    TWO_SAMPLE = 23
    COPIES = 24
    MODES = 25
    RIVALS = 26
    MEASURES = 27
    EVALUATION_ROWS = 28
    KERNELS = 29
    MIXTURE_ROWS = 30
    LATENTS = 51
    BASE_DRAWS = 52
    RESERVOIR = 53
    # Plots.
    JITTER = 41
    STRIP = 42
    POINTS_ORDER = 43
    PLOT_ROWS = 44
    # Checks.
    CHECK_POINTS = 61
    CHECK_MASS = 62
    CHECK_PROPOSAL = 63
    CHECK_LATENTS = 64


def numpy_generator(seed: int, stream: Stream, *steps: int) -> np.random.Generator:
    """Return numpy's generator for one purpose.

    Args:
        seed: The user's seed.
        stream: What the numbers are for.
        steps: Where they are used: an epoch, a step, a block; none where there is one place only.
    """
    return np.random.default_rng([seed, stream, *steps])


def derived_seed(seed: int, stream: Stream, *steps: int) -> int:
    """Return a seed below 2^63 for torch's generators; see ``numpy_generator``."""
    state = np.random.SeedSequence([seed, stream, *steps]).generate_state(1, np.uint64)[0]
    return int(state >> np.uint64(1))
