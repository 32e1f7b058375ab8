"""What a batch size costs in steps, samples and time to a fixed loss.

    symbol        meaning                                                     unit
    S(B), S_min   optimizer steps to the loss; the least that any batch needs steps
    E(B), E_min   samples to the loss; the least                              samples
    B_crit        critical batch E_min/S_min, about the noise scale 𝓑         samples
    t(B)          time of an optimizer step                                   s

(S/S_min − 1)(E/E_min − 1) = 1, hence S = S_min(1 + B_crit/B) and E = E_min(1 + B/B_crit);
McCandlish et al., arXiv 1812.06162, section 2. The efficiency of B over that of B₀ is
E(B₀)/E(B) = (𝓑 + B₀)/(𝓑 + B); Qiao et al. (Pollux), arXiv 2008.12260.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable


def relative_steps(batch_size: float, critical_batch_size: float) -> float:
    """Return S(B)/S_min, at least 1.

    Args:
        batch_size: B, above 0.
        critical_batch_size: B_crit, at least 0.
    """
    return 1 + critical_batch_size / batch_size


def relative_samples(batch_size: float, critical_batch_size: float) -> float:
    """Return E(B) up to a constant: B·S(B)/S_min, samples.

    Args:
        batch_size: B, above 0.
        critical_batch_size: B_crit, at least 0.
    """
    return batch_size + critical_batch_size


def relative_efficiency(batch_size: float, reference: float, noise_scale: float) -> float:
    """Return what a sample of batch B brings over one of batch B₀: below 1 where B is larger.

    Args:
        batch_size: B, above 0.
        reference: B₀, above 0.
        noise_scale: 𝓑, samples, at least 0.
    """
    return relative_samples(reference, noise_scale) / relative_samples(batch_size, noise_scale)


def fastest_batch_size(
    batch_sizes: Iterable[int],
    critical_batch_size: float,
    step_time_s: Callable[[int], float],
) -> int:
    """Return the batch size with the least time to the loss, S(B)·t(B); the smaller on a tie.

    Args:
        batch_sizes: Candidates, at least one.
        critical_batch_size: B_crit, samples.
        step_time_s: t(B), seconds of an optimizer step.
    """
    return min(
        sorted(batch_sizes),
        key=lambda size: relative_steps(size, critical_batch_size) * step_time_s(size),
    )
