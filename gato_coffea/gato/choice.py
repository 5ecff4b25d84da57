"""How many categories: the fewest that are as good as the best, within what is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gato_coffea.config import AUTO_COUNTS
from gato_coffea.gato.result import Result, decimals

__all__ = ["AUTO_COUNTS", "Recommendation", "recommendation", "recommendation_of"]


@dataclass(frozen=True)
class Recommendation:
    """A number of categories, as asked for, and why it is recommended."""

    asked: int
    reason: str


def recommendation(
    asked: Sequence[int], held_out: Sequence[float], spread: Sequence[float | None]
) -> Recommendation:
    """The smallest number whose held-out significance lies within one spread of the best.

    The one-standard-error rule (Breiman et al., Classification and Regression Trees, 1984).

    Parameters
    ----------
    asked, held_out, spread
        One entry for each number of categories, at least one; a spread that is not known counts
        as zero.

    Examples
    --------
    >>> recommendation([2, 5, 10], [1.0, 2.0, 2.1], [0.1, 0.1, 0.1]).reason
    '5 categories: held-out Z 2.00 is within one spread (0.10) of the best, 2.10 with 10'
    """
    best = max(range(len(asked)), key=lambda i: (held_out[i], -asked[i]))
    width = spread[best] or 0.0
    enough = [i for i, z in enumerate(held_out) if z >= held_out[best] - width]
    chosen = min(enough, key=lambda i: asked[i])
    digits = decimals(width)
    z, z_best, spread_best = (f"{v:.{digits}f}" for v in (held_out[chosen], held_out[best], width))
    if asked[chosen] == asked[best]:
        reason = (
            f"{asked[best]} categories: held-out Z {z} is the best, and no smaller number comes "
            f"within one spread ({spread_best}) of it"
        )
    else:
        reason = (
            f"{asked[chosen]} categories: held-out Z {z} is within one spread ({spread_best}) of "
            f"the best, {z_best} with {asked[best]}"
        )
    return Recommendation(int(asked[chosen]), reason)


def recommendation_of(results: Sequence[Result]) -> Recommendation:
    """The same of results."""
    return recommendation(
        [r.asked for r in results],
        [r.held_out.combined for r in results],
        [r.held_out.spread for r in results],
    )


def recommended(results: Sequence[Result]) -> Result:
    """The result with the smallest number of categories that is as good as the best.

    See `recommendation`.
    """
    asked = recommendation_of(results).asked
    return next(r for r in results if r.asked == asked)
