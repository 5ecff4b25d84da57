"""What every category must hold of single background processes.

The background's effective entries in all say nothing of a rare process whose events are heavy:
where none of them falls by chance, it adds neither yield nor variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from gato_coffea.config import Constraints
from gato_coffea.events.samples import BoolArray, FloatArray, Points
from gato_coffea.optimisation.result import effective_entries


@dataclass(frozen=True)
class ProcessLimits:
    """The limits of single processes, ``Q`` of them; a process may have two.

    Attributes
    ----------
    processes
        Names of the processes.
    needed
        Effective entries, or yield, that each category needs of them, shape ``(Q,)``.
    weight
        Mean weight of their events, shape ``(Q,)``.
    asked
        Whether the analysis names the process. One that it does not name may be missing where a
        further event of it would leave the background well enough known.
    """

    processes: tuple[str, ...]
    needed: FloatArray
    weight: FloatArray
    asked: BoolArray
    of_yield: BoolArray
    """Whether a limit is one of the yield, and not of effective entries, shape ``(Q,)``."""

    @classmethod
    def of(cls, points: Points, backgrounds: tuple[str, ...], limits: Constraints) -> Self:
        """The backgrounds that limits hold for: those named, and those above the share."""
        rows = points.of(backgrounds)
        sumw = points.sumw[rows].sum(axis=(1, 2))
        sumw2 = points.sumw2[rows].sum(axis=(1, 2))
        share = sumw / sumw.sum() if sumw.sum() > 0 else np.zeros_like(sumw)
        effective = effective_entries(sumw, sumw2)
        found = []
        for c, name in enumerate(backgrounds):
            own = limits.per_process.get(name)
            entries = None if own is None else own.min_effective
            needed = limits.min_effective_per_process
            if entries is not None:
                needed = entries
            elif share[c] < limits.exempt_below or effective[c] < needed:
                needed = 0.0
            weight = sumw2[c] / sumw[c] if sumw[c] > 0 else 0.0
            if needed > 0:
                found.append((name, needed, weight, entries is not None, False))
            if own is not None and own.min_yield is not None:
                found.append((name, own.min_yield, weight, True, True))
        return cls(
            tuple(f[0] for f in found),
            np.array([f[1] for f in found], dtype=np.float64),
            np.array([f[2] for f in found], dtype=np.float64),
            np.array([f[3] for f in found], dtype=np.bool_),
            np.array([f[4] for f in found], dtype=np.bool_),
        )

    def margins(
        self,
        watched: FloatArray,
        background: FloatArray,
        variance: FloatArray,
        factor: FloatArray,
        *,
        min_effective: float,
        scale: float,
    ) -> FloatArray:
        """How far categories are from each limit, shape ``(Q, ...)``: satisfied from one on.

        Parameters
        ----------
        watched
            Sums of weights of the processes, then of their squares, shape ``(2 Q, ...)``.
        background, variance, factor
            Those of the total background, as in `CategoryYields`.
        min_effective
            Effective entries that the total background needs.
        scale
            Full sample over this one, as in `Densities`.
        """
        q = len(self.processes)
        shape = (q, *(1,) * background.ndim)
        needed, weight = self.needed.reshape(shape), self.weight.reshape(shape)
        of_yield = self.of_yield.reshape(shape)
        entries = effective_entries(watched[:q], watched[q:]) * scale
        reached = np.where(of_yield, watched[:q], entries)
        positive = needed > 0
        margin = np.where(
            positive,
            reached / np.where(positive, needed, 1.0),
            self._not_negative(watched[:q], weight),
        )
        # One event more: if the background is still known well enough, the process may be missing.
        more = weight * factor
        further = effective_entries(background + more, variance / scale + more**2)
        waived = (further >= min_effective) & (background > 0) & ~self.asked.reshape(shape)
        return np.where(waived, np.maximum(margin, 1.0), margin)

    @staticmethod
    def _not_negative(sumw: FloatArray, weight: FloatArray) -> FloatArray:
        """Below one where a yield is negative, by its size in events of the mean weight."""
        events = np.abs(sumw) / np.where(weight > 0, weight, 1.0)
        return np.where(sumw >= 0, np.inf, np.maximum(1.0 - events, 0.0))

    def words(self, q: int, margin: float) -> tuple[str, str]:
        """The limit, as the analysis file says it, and what of it is reached."""
        name, needed = self.processes[q], float(self.needed[q])
        if not self.of_yield[q]:
            return f"min_effective {needed:g} of {name}", f"{margin * needed:.4g}"
        reached = f"{margin * needed:.4g}" if needed > 0 else "a negative one"
        return f"min_yield {needed:g} of {name}", reached
