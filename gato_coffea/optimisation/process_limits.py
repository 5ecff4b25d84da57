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
    """The processes that are looked at one by one, ``Q`` of them.

    Attributes
    ----------
    processes
        Their names.
    needed
        Effective entries that each category needs of them, shape ``(Q,)``.
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
            asked = name in limits.per_process
            needed = limits.min_effective_per_process
            if asked:
                needed = limits.per_process[name].min_effective
            elif share[c] < limits.exempt_below or effective[c] < needed:
                needed = 0.0
            if needed > 0:
                weight = sumw2[c] / sumw[c] if sumw[c] > 0 else 0.0
                found.append((name, needed, weight, asked))
        return cls(
            tuple(f[0] for f in found),
            np.array([f[1] for f in found], dtype=np.float64),
            np.array([f[2] for f in found], dtype=np.float64),
            np.array([f[3] for f in found], dtype=np.bool_),
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
        margin = effective_entries(watched[:q], watched[q:]) * scale / needed
        # One event more: if the background is still known well enough, the process may be missing.
        more = weight * factor
        further = effective_entries(background + more, variance / scale + more**2)
        waived = (further >= min_effective) & (background > 0) & ~self.asked.reshape(shape)
        return np.where(waived, np.maximum(margin, 1.0), margin)
