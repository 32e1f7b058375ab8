"""Tuned numbers of the scaling model's fit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingTuning:
    """Priors, grid and tolerances of ``fit_scaling_law``; symbols are those of ``scaling_law``.

    All were chosen by hand on the ten development workloads of benchmarks/README.md.
    ``python -m benchmarks.replay WORKLOAD…`` prints the time to target that they lead to, and
    ``python -m benchmarks.answers --check`` whether a change of them changes any. Other evidence
    stands with the field.

    The prior of an unknown is normal in its logarithm: its *median* is over the reference recipe's
    value, and its *spread* is the factor that one standard deviation amounts to.

    Attributes:
        rate_median: Of η_c over the reference's rate, above 0.
        rate_spread: Of η_c, a factor above 1.
        batch_median: Of B_c over the reference's batch size, above 0. On ten workloads it was off
            by e^1.7, root mean square (docs/convergence.md).
        batch_spread: Of B_c, a factor above 1.
        measured_log_deviation: Deviation of ln B_c from the logarithm of the measured noise scale,
            above 0: the scale of Student's distribution. On ten workloads it was 1.1
            (docs/convergence.md).
        measured_freedom: Degrees of freedom of that distribution, above 0. With few of them a noise
            scale that was measured before anything was learned yields to trials; a normal prior did
            as well on the ten workloads, and worse where the noise scale grows (same page).
        between_search_deviation: Deviation of ln η_c and of ln B_c between long searches of one
            task, above 0: see ``law_prior``. ``python -m benchmarks.prior``.
        prior_share: t, the probability that earlier searches speak of the one at hand, above 0 and
            below 1. Same command.
        noise_median: Of 𝓑 over the reference's batch size, above 0.
        noise_spread: Of 𝓑, a factor above 1.
        slope_log_deviation: Deviation of ln D at the target, which is extrapolated; above 0.
        grid_points: Points of the grid along η_c, B_c, 𝓑 and D, each at least 2: time goes with
            their product.
        grid_half_width: Of the grid in standard deviations, above 0: of the prior at first, then of
            what the first pass leaves.
        misfit: Deviation of ln k from the law at many steps, above 0. On the recorded grids of four
            workloads it was 0.1 to 0.3.
        independent_levels: Levels of one training that together count as independent, above 0.
        max_square_misfit: Squared misfit of ln k beyond which a level counts no more, above 0, so
            that a setting which the law does not describe does not spoil the fit.
        broken_slowdown: The least log slowdown of a setting that diverged or only grew worse.
        broken_softness: Width of that threshold, in log slowdown; above 0.
        broken_steepness: D where settings break over D at the target, above 0: they break early.
        broken_exponent: α where settings break, above 0. Rule of thumb, not tuned.
        max_noise_share: See ``ScalingLaw``; above 0 and below 1. Rule of thumb, not tuned.
        negligible_probability: Of a law over the most probable one's, from 0 to below 1: below it a
            law is left out to save time. Rule of thumb, not tuned.
    """

    rate_median: float = 16.0
    rate_spread: float = 6.0
    batch_median: float = 2.5
    batch_spread: float = 6.0
    measured_log_deviation: float = 1.0
    measured_freedom: float = 3.0
    between_search_deviation: float = 1.0
    prior_share: float = 0.5
    noise_median: float = 1.5
    noise_spread: float = 4.0
    slope_log_deviation: float = 0.8
    grid_points: tuple[int, int, int, int] = (15, 11, 5, 3)
    grid_half_width: float = 2.2
    misfit: float = 0.15
    independent_levels: float = 2.0
    max_square_misfit: float = 1.0
    broken_slowdown: float = 3.0
    broken_softness: float = 0.5
    broken_steepness: float = 1 / 0.3
    broken_exponent: float = 0.5
    max_noise_share: float = 0.9
    negligible_probability: float = 1e-4

    def __post_init__(self) -> None:
        """Refuse what has no logarithm, no width or no grid.

        Raises:
            ValueError: A value is out of its range.
        """
        spreads = (self.rate_spread, self.batch_spread, self.noise_spread)
        positive = (
            *(self.rate_median, self.batch_median, self.noise_median),
            *(self.measured_log_deviation, self.measured_freedom, self.slope_log_deviation),
            self.between_search_deviation,
            *(self.grid_half_width, self.misfit, self.independent_levels, self.max_square_misfit),
            *(self.broken_softness, self.broken_steepness, self.broken_exponent),
        )
        if not all(value > 1 for value in spreads):
            raise ValueError("spreads must be above 1")
        if not all(value > 0 for value in positive):
            raise ValueError("medians, deviations, widths and weights must be above 0")
        if min(self.grid_points) < 2:
            raise ValueError("grid_points must be at least 2 along each axis")
        if not (
            0 < self.prior_share < 1
            and 0 < self.max_noise_share < 1
            and 0 <= self.negligible_probability < 1
        ):
            raise ValueError("shares must be below 1, and all but negligible_probability above 0")
