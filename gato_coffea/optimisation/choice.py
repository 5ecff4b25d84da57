"""How many categories: the fewest that are as good as the best, within what is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gato_coffea.config import AUTO_COUNTS
from gato_coffea.optimisation.result import Result
from gato_coffea.rendering.rounding import decimals, rounded

__all__ = ["AUTO_COUNTS", "Recommendation", "recommendation", "recommendation_of"]


@dataclass(frozen=True)
class Recommendation:
    """A number of categories, as asked for, and why it is recommended."""

    asked: int
    reason: str


def recommendation(
    asked: Sequence[int],
    held_out: Sequence[float],
    spread: Sequence[float | None],
    difference_spread: Sequence[float | None] | None = None,
    *,
    basis: str = "held-out",
) -> Recommendation:
    """The smallest number whose held-out significance lies within one spread of the best.

    The one-standard-error rule (Breiman et al., Classification and Regression Trees, 1984), with
    the error of the difference on the same events where it is known: all numbers of categories
    share the fluctuations of the sample, which are most of the spread of each.

    Parameters
    ----------
    asked, held_out, spread
        One entry for each number of categories, at least one; a spread that is not known counts
        as zero.
    difference_spread
        That of the difference to the best; where it is not known, the spread of the best counts.
    basis
        What the figures are called, `Result.basis`.

    Examples
    --------
    >>> recommendation([2, 5, 10], [1.0, 2.0, 2.1], [0.1, 0.1, 0.1]).reason
    '5 categories: held-out Z 2.00 is within one spread (0.10) of the best, 2.10 with 10'
    >>> recommendation([5, 10], [2.0, 2.1], [0.2, 0.2], [0.04, 0.0]).asked
    10
    """
    best = _best(asked, held_out)
    known = difference_spread if difference_spread is not None else [None] * len(asked)
    width = [(spread[best] if d is None else d) or 0.0 for d in known]
    enough = [i for i, z in enumerate(held_out) if z >= held_out[best] - width[i]]
    chosen = min(enough, key=lambda i: asked[i])
    fewer = [i for i in range(len(asked)) if asked[i] < asked[chosen]]
    # Against what the choice was made: its own distance, or that of the next smaller number.
    told = chosen if chosen != best else max(fewer, key=lambda i: asked[i], default=best)
    paired = " of their difference" if known[told] is not None and told != best else ""
    digits = decimals(width[told])
    z, z_best = (rounded(held_out[i], digits) for i in (chosen, best))
    one_spread = f"one spread{paired} ({rounded(width[told], digits)})"
    if chosen == best:
        reason = (
            f"{asked[best]} categories: {basis} Z {z} is the best, and no smaller number comes "
            f"within {one_spread} of it"
        )
    else:
        reason = (
            f"{asked[chosen]} categories: {basis} Z {z} is within {one_spread} of the best, "
            f"{z_best} with {asked[best]}"
        )
    return Recommendation(int(asked[chosen]), reason)


def _best(asked: Sequence[int], held_out: Sequence[float]) -> int:
    return max(range(len(asked)), key=lambda i: (held_out[i], -asked[i]))


def best_of(results: Sequence[Result]) -> Result:
    """The result with the largest held-out significance; of equal ones the smallest number."""
    return results[_best([r.asked for r in results], [r.held_out.combined for r in results])]


def recommendation_of(results: Sequence[Result]) -> Recommendation:
    """The recommendation among results."""
    return recommendation(
        [r.asked for r in results],
        [r.held_out.combined for r in results],
        [r.held_out.spread for r in results],
        [r.difference_spread for r in results],
        basis=results[0].basis,
    )


def recommended(results: Sequence[Result]) -> Result:
    """The result with the smallest number of categories that is as good as the best.

    See `recommendation`.
    """
    asked = recommendation_of(results).asked
    return next(r for r in results if r.asked == asked)
