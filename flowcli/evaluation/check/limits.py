"""The limits of all checks, each with its reason.

Of all shipped configs fitted to the sample tables the worst had round trips to 5e-11 and log-dets to 7e-14, float32
within 1e-5 there and back, and 5e-5 nats; the faults that the tests make are far beyond. What is estimated has a limit
of its own: so many standard errors.
"""

from __future__ import annotations

# Rows to latents and back, in units of a column's spread. Float64 has sixteen digits; layers that stretch a hundred
# thousandfold leave ten.
ROUND_TRIP = 1e-8
# The same in float32, seven digits; what misses by more is computed in float64 by whoever draws.
ROUND_TRIP_SINGLE = 5e-3
# The share of rows that may miss that in float32: those where a flow is steep.
STEEP = 0.01

# A log-det against automatic differentiation, in nats: both are float64, but a matrix may be ill-conditioned.
LOG_DET = 1e-9

# Probabilities that add up to one, in float64.
CODES = 1e-9

# Estimates are good to so many standard errors: one false alarm in 16,000.
ERRORS = 4.0
# Estimates that are less sure than this say nothing.
SURE = 0.01
# Weights with a heavier tail than this (a Pareto index) have no standard error that could be trusted.
PARETO = 0.5

# Quadrature in one column and in two.
MASS_1 = 1e-4
MASS_2 = 1e-3

# Float32 against float64, in nats: the mean over rows, and the hundredth row from the top.
SINGLE_MEAN = 1e-3
SINGLE_MOST = 1e-2

# Weights of an ensemble, that add up to one in float64.
WEIGHTS = 1e-9
