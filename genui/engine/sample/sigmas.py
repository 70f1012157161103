"""The noise levels of a diffusion trace, from all noise to none."""

from genui.protocol import ImageSettings

SIGMA_MAX = 40.0


def sigmas(settings: ImageSettings, sigma_max: float = SIGMA_MAX) -> tuple[float, ...]:
    """`steps` + 1 noise levels from `sigma_max` down to 0 (Karras et al. 2022, eq. 5)."""
    # Starting from a nearly clean level, the levels must still fall.
    sigma_min = min(settings.lowest_sigma, sigma_max / 2)
    if settings.steps == 1:
        return (sigma_max, 0.0)
    return (*karras_sigmas(sigma_max, sigma_min, settings.steps, settings.rho), 0.0)


def karras_sigmas(start: float, end: float, count: int, rho: float) -> tuple[float, ...]:
    """`count` >= 2 noise levels from exactly `start` to exactly `end`, evenly spaced in σ^(1/ρ)."""
    first, last = start ** (1 / rho), end ** (1 / rho)
    shares = (i / (count - 1) for i in range(1, count - 1))
    return (start, *((first + share * (last - first)) ** rho for share in shares), end)
