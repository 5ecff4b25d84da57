"""What all category models of the documented interface have in common.

A model says how much of an event belongs to each category, softly (differentiable) and hardly;
from these two follow yields, significances, biases and background statistics.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from gato_coffea.errors import InputError
from gato_coffea.events.samples import FloatArray, IntArray
from gato_coffea.files import DAMAGED
from gato_coffea.gato.convert import column, each_process, matrix
from gato_coffea.gato.saving import damaged, read_model, write_model
from gato_coffea.optimisation.training.objective import safe_sqrt, signal_z2
from gato_coffea.optimisation.training.tensors import Tensor
from gato_coffea.statistics.counting import signal_significances

BLOCK = 250_000
"""Events whose soft memberships are held at a time outside training."""


class BinningModel(tf.Module):
    """A model of ``n_cats`` categories; subclasses say how events belong to them."""

    n_cats: int
    dim: int

    def _soft(self, x: Tensor, softness: object) -> Tensor:
        """Memberships ``(N, K)`` of events ``(N, D)``; ``softness`` None means the model's own."""
        raise NotImplementedError

    def _hard(self, x: Tensor) -> Tensor:
        """Category ``(N,)`` of events ``(N, D)`` in float64, none of them NaN."""
        raise NotImplementedError

    def _make(self) -> dict[str, Any]:
        """What a saved model must have in common with this one, as JSON."""
        raise NotImplementedError

    def _state(self) -> dict[str, Any]:
        """What training changes, as JSON."""
        raise NotImplementedError

    def _set_state(self, state: Mapping[str, object]) -> None:
        """Take on a state; one that cannot be is an error and changes nothing."""
        raise NotImplementedError

    def save(self, path: str | Path) -> None:
        """Write everything that defines the categories to ``model.json`` in a folder."""
        write_model(path, self._make() | self._state())

    def restore(self, path: str | Path) -> None:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
            If nothing is there.
        InputError
            If it is damaged, or belongs to a model of another make.
        """
        content = read_model(path, self._make())
        try:
            self._set_state(content)
        except DAMAGED as error:
            raise damaged(path, error) from None

    def call(self, data_dict: Mapping[str, object]) -> Any:
        """Loss of one training step; a subclass defines it.

        Raises
        ------
        NotImplementedError
            Always, here.
        """
        raise NotImplementedError(f"{type(self).__name__}: override call(data_dict)")

    def _checked(self, value: object, dtype: object = tf.float32) -> Tensor:
        x = matrix(value, dtype=dtype)
        if x.shape[0] == 0:
            return tf.zeros((0, self.dim), dtype)
        if x.shape[-1] != self.dim:
            raise InputError(
                f"{self.name}: needs events of shape (N, {self.dim}) (got {tuple(x.shape)})"
            )
        return x

    def _memberships(self, data: object, softness: object) -> Any:
        return each_process(data, lambda value: self._soft(self._checked(value), softness))

    def _bins(self, data: object) -> Any:
        def bins(value: object) -> Tensor:
            # In float64, so that every way of applying the categories gives the same ones.
            x = self._checked(value, tf.float64)
            missing = tf.reduce_any(tf.math.is_nan(x), axis=-1)
            safe = tf.where(missing[:, None], tf.zeros_like(x), x)
            return tf.where(missing, -1, tf.cast(self._hard(safe), tf.int32))

        return each_process(data, bins)

    def _signal_labels(
        self, data: Mapping[str, object], signal_labels: Sequence[str] | None
    ) -> list[str]:
        if signal_labels is None:
            return [label for label in data if label.startswith("signal")]
        if isinstance(signal_labels, str):
            raise InputError(f"signal_labels: must be a list of names (got {signal_labels!r})")
        for label in signal_labels:
            if label not in data:
                raise InputError(
                    f"signal_labels: no such process (got {label!r}; allowed {', '.join(data)})"
                )
        return list(signal_labels)

    def get_differentiable_significance(
        self,
        data_dict: Mapping[str, object],
        *,
        signal_labels: Sequence[str],
        background_reweight: object = None,
        reweight_processes: Sequence[str] | None = None,
        return_details: bool = False,
    ) -> Any:
        """Significance of each signal from soft yields.

        Parameters
        ----------
        data_dict
            For each process ``NN_output`` and ``weight``. Processes that are no signal are
            background; each signal sees the background and all other signals.
        signal_labels
            The signals.
        background_reweight
            Factor on the background yield of each category, shape ``(K,)``.
        reweight_processes
            Backgrounds that get the factors; all of them by default.
        return_details
            Whether background yields and sums of squared weights are returned too.

        Returns
        -------
        OrderedDict[str, Tensor]
            Significance by signal, in the order given; with ``return_details`` a tuple of it, the
            background yields ``(K,)`` and their sums of squared weights ``(K,)``.

        Raises
        ------
        InputError
            If a signal, or a process to reweight, is not among the data.
        """
        signals = self._signal_labels(data_dict, signal_labels)
        if not signals:
            raise InputError(f"signal_labels: needs at least one of {', '.join(data_dict)}")
        reweighted = set(data_dict if reweight_processes is None else reweight_processes)
        if not reweighted <= set(data_dict):
            raise InputError(f"reweight_processes: no such process (got {sorted(reweighted)})")
        factor = tf.ones(self.n_cats)
        if background_reweight is not None:
            factor = tf.cast(background_reweight, tf.float32)
        signal = {}
        background = sumw2 = tf.zeros(self.n_cats)
        for process, value in data_dict.items():
            sums = self._soft_sums(value, process)
            if process in signals:
                signal[process] = sums[0]
                continue
            scale = factor if process in reweighted else tf.ones_like(factor)
            background += scale * sums[0]
            sumw2 += scale**2 * sums[1]
        z = safe_sqrt(signal_z2(tf.stack([signal[s] for s in signals]), background))
        result = OrderedDict(zip(signals, tf.unstack(z, num=len(signals)), strict=True))
        return (result, background, sumw2) if return_details else result

    def _soft_sums(self, value: object, process: str, softness: object = None) -> Tensor:
        """Soft sums of weights and of squared weights, shape ``(2, K)``."""
        weight = tf.cast(column(value, "weight", process=process), tf.float32)
        share = self._soft(self._checked(value), softness)
        return tf.linalg.matmul(tf.stack([weight, weight**2]), share)

    def hard_yields(
        self, data_dict: Mapping[str, object]
    ) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
        """Sums of weights, and of squared weights, of each process in each category.

        Parameters
        ----------
        data_dict
            For each process ``NN_output`` and ``weight``.

        Returns
        -------
        tuple[dict[str, FloatArray], dict[str, FloatArray]]
            Shape ``(K,)`` each, summed in float64. Events with a NaN discriminant count nowhere.
        """
        sumw: dict[str, FloatArray] = {}
        sumw2: dict[str, FloatArray] = {}
        for process, value in data_dict.items():
            bins = np.asarray(self._bins(value))
            weight = np.asarray(column(value, "weight", process=process), dtype=np.float64)
            bins, weight = bins[bins >= 0], weight[bins >= 0]
            sumw[process] = np.bincount(bins, weight, self.n_cats).astype(np.float64)
            sumw2[process] = np.bincount(bins, weight**2, self.n_cats).astype(np.float64)
        return sumw, sumw2

    def _bias(self, data_dict: Mapping[str, object], softness: object, eps: float) -> FloatArray:
        hard = np.sum(list(self.hard_yields(data_dict)[0].values()), axis=0)
        soft = np.zeros(self.n_cats)
        for process, value in data_dict.items():
            x = self._checked(value)
            weight = np.asarray(column(value, "weight", process=process), dtype=np.float64)
            for start in range(0, len(weight), BLOCK):
                part = slice(start, start + BLOCK)
                soft += weight[part] @ np.asarray(self._soft(x[part], softness), np.float64)
        empty = np.abs(hard) <= eps
        whole = np.where(empty, np.where(np.abs(soft) <= eps, 1.0, soft), hard)
        return np.asarray((hard - soft) / whole)

    def _hard_background(
        self, data_dict: Mapping[str, object], signal_labels: Sequence[str] | None, eps: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Background yield, its relative uncertainty, and the significance, by category."""
        signals = self._signal_labels(data_dict, signal_labels)
        sumw, sumw2 = self.hard_yields(data_dict)
        none = np.zeros(self.n_cats)
        rest = [process for process in sumw if process not in signals]
        background = none + sum(sumw[process] for process in rest)
        error = np.sqrt(none + sum(sumw2[process] for process in rest))
        known = np.abs(background) > eps
        relative = np.where(known, error / np.where(known, np.abs(background), 1.0), 1.0)
        z2 = none
        if signals:
            each = np.stack([sumw[s] for s in signals])[..., None]
            z2 = (signal_significances(np.swapaxes(each, 0, 1), background[:, None]) ** 2).sum(1)
        return background, relative, z2


def by_falling(values: FloatArray) -> IntArray:
    """Order of falling values; equal ones stay as they stand."""
    return np.argsort(-values, kind="stable")
