"""Constants of the standard normal distribution Φ that several estimators use.

symbol  meaning                                          unit
Φ⁻¹     quantile function of the standard normal         standard deviations
MAD     median absolute deviation of a normal variable   that of the variable
"""

from __future__ import annotations

Z_80 = 1.2816
"""Φ⁻¹(0.9): half-width of a two-sided normal 80 % interval, in standard deviations."""

DEVIATION_PER_MAD = 1.4826
"""1/Φ⁻¹(3/4): standard deviation of a normal variable over its MAD (Rousseeuw & Croux, Journal of
the American Statistical Association 88, 1993)."""
