"""Rectangular categories between ordered edges, softened by sigmoids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from gato_coffea.categories import EdgeCategories
from gato_coffea.errors import InputError
from gato_coffea.events.samples import Feature, FloatArray
from gato_coffea.gato.binning import BinningModel
from gato_coffea.gato.schedules import updated
from gato_coffea.optimisation.training.edges import (
    ordered_edges,
    raw_edges,
    soft_bins,
)
from gato_coffea.optimisation.training.tensors import Tensor


class SigmoidModel(BinningModel):
    """Categories as the cells between ordered edges of one or more variables.

    Its methods take and return what those of `gato_coffea.gato.model.GaussianMixtureModel` do;
    ``steepness_scale``, a factor on the steepness of every variable, stands for the temperature.

    Parameters
    ----------
    variables_config
        One mapping a variable: ``bins`` (two or more), ``range`` (low, high), and optionally
        ``name`` and ``steepness``.
    global_steepness
        Steepness of the variables that do not say their own, in units of one over the range.
    name
        Name of the module.

    Attributes
    ----------
    var_cfg
        One mapping a variable, with ``raw`` (trainable, ``(bins - 1,)``) and ``k`` (steepness,
        to be annealed) besides ``name``, ``bins``, ``lo``, ``hi`` and ``span``.
    n_cats
        Product of the numbers of bins. The last variable runs fastest.

    Raises
    ------
    InputError
        If a variable has fewer than two bins, no range, or an unknown key.
    """

    def __init__(
        self,
        variables_config: Sequence[Mapping[str, object]],
        *,
        global_steepness: float = 5.0,
        name: str = "gato_sigmoid_model",
    ) -> None:
        super().__init__(name=name)
        if not variables_config:
            raise InputError(f"{name}: needs at least one variable")
        self.var_cfg = [
            _variable(j, config, global_steepness, name)
            for j, config in enumerate(variables_config)
        ]
        self.dim = len(self.var_cfg)
        self.n_cats = int(np.prod([cfg["bins"] for cfg in self.var_cfg]))

    def calculate_boundaries(self, j: int = 0) -> Tensor:
        """Inner edges of variable ``j`` in its own units, shape ``(bins - 1,)``."""
        cfg = self.var_cfg[j]
        return cfg["lo"] + cfg["span"] * ordered_edges(tf.convert_to_tensor(cfg["raw"]))

    def set_boundaries(self, boundaries: Sequence[float], j: int = 0) -> None:
        """Put the inner edges of variable ``j``, increasing and inside its range."""
        cfg = self.var_cfg[j]
        unit = (np.asarray(boundaries, dtype=np.float64) - cfg["lo"]) / cfg["span"]
        if unit.shape != (cfg["bins"] - 1,):
            raise InputError(f"{self.name}: needs {cfg['bins'] - 1} edges (got {len(unit)})")
        cfg["raw"].assign(tf.cast(raw_edges(unit), tf.float32))

    def _soft(self, x: Tensor, softness: object) -> Tensor:
        scale = tf.cast(1.0 if softness is None else softness, x.dtype)
        result: Tensor = None
        for j, cfg in enumerate(self.var_cfg):
            unit = (x[:, j] - cfg["lo"]) / cfg["span"]
            edges = ordered_edges(tf.convert_to_tensor(cfg["raw"]))
            share = soft_bins(unit, edges, scale * tf.cast(cfg["k"], x.dtype))
            if result is None:
                result = share
            else:
                size = result.shape[-1] * share.shape[-1]
                result = tf.reshape(result[:, :, None] * share[:, None, :], (-1, size))
        return result

    def _hard(self, x: Tensor) -> Tensor:
        index = tf.zeros(tf.shape(x)[0], tf.int32)
        for j, cfg in enumerate(self.var_cfg):
            edges = tf.cast(self.calculate_boundaries(j), x.dtype)
            index = index * cfg["bins"] + tf.searchsorted(edges, x[:, j], side="right")
        return index

    def get_probs(self, data: object, *, steepness_scale: object = None) -> Any:
        """Soft memberships, as of a mixture; the steepness of every variable may be scaled."""
        return self._memberships(data, steepness_scale)

    def get_bin_indices(self, data: object, *, steepness_scale: object = None) -> Any:
        """Categories of events: the cell between the edges, whatever the steepness.

        As of a mixture. A value beyond the range belongs to the bin at that end.
        """
        return self._bins(data)

    def get_bias(
        self, data_dict: Mapping[str, object], *, steepness_scale: object = None, eps: float = 1e-8
    ) -> FloatArray:
        """How far soft yields are off the hard ones, as of a mixture."""
        return self._bias(data_dict, steepness_scale, eps)

    def compute_hard_bkg_stats(
        self,
        data_dict: Mapping[str, object],
        signal_labels: Sequence[str] | None = None,
        eps: float = 1e-8,
    ) -> tuple[Tensor, Tensor]:
        """Background yield of each category and its relative statistical uncertainty.

        As of a mixture, but float32 tensors in the order of the categories, ``(K,)`` each.
        """
        background, relative, _ = self._hard_background(data_dict, signal_labels, eps)
        return tf.constant(background, tf.float32), tf.constant(relative, tf.float32)

    def to_categories(self, features: Sequence[Feature]) -> EdgeCategories:
        """The trained model as portable categories, over the ranges of the features.

        Raises
        ------
        InputError
            If the features are not those of the model or an edge lies outside their range.
        """
        if len(features) != self.dim:
            raise InputError(f"{self.name}: needs {self.dim} features (got {len(features)})")
        edges = []
        for j, feature in enumerate(features):
            inner = self.calculate_boundaries(j).numpy().astype(np.float64)
            full = np.concatenate([[feature.low], inner, [feature.high]])
            if not (np.diff(full) > 0).all():
                raise InputError(f"{self.name}: edges of {feature.name} leave its range")
            edges.append(full)
        return EdgeCategories(
            features=tuple(features), edges=tuple(edges), label=np.arange(self.n_cats)
        )

    def _make(self) -> dict[str, Any]:
        keys = ("name", "bins", "lo", "hi")
        return {
            "kind": "sigmoid",
            "variables": [{key: cfg[key] for key in keys} for cfg in self.var_cfg],
        }

    def _state(self) -> dict[str, Any]:
        return {
            "raw": [cfg["raw"].numpy().tolist() for cfg in self.var_cfg],
            "k": [float(cfg["k"]) for cfg in self.var_cfg],
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        raws = [np.asarray(raw, dtype=np.float32) for raw in state["raw"]]
        ks = [float(k) for k in state["k"]]
        if [raw.shape for raw in raws] != [(cfg["bins"] - 1,) for cfg in self.var_cfg]:
            raise ValueError("raw has the wrong length")
        if not min(ks) > 0:
            raise ValueError(f"k {ks}")
        for cfg, raw, k in list(zip(self.var_cfg, raws, ks, strict=True)):
            cfg["raw"].assign(raw)
            cfg["k"] = updated(cfg["k"], k)


def _variable(
    j: int, config: Mapping[str, Any], global_steepness: float, model: str
) -> dict[str, Any]:
    place = f"{model}: variables_config[{j}]"
    unknown = set(config) - {"name", "bins", "range", "steepness"}
    if unknown:
        raise InputError(f"{place}: unknown key (got {sorted(unknown)})")
    bins, limits = config.get("bins", 0), config.get("range", (0.0, 0.0))
    if bins < 2:
        raise InputError(f"{place}.bins: must be two or more (got {bins})")
    low, high = (float(end) for end in limits)
    if not low < high:
        raise InputError(f"{place}.range: must be (low, high) (got {limits})")
    steepness = float(config.get("steepness", global_steepness))
    if not steepness > 0:
        raise InputError(f"{place}.steepness: must be positive (got {steepness})")
    return {
        "name": str(config.get("name", f"variable{j}")),
        "bins": int(bins),
        "lo": low,
        "hi": high,
        "span": high - low,
        "raw": tf.Variable(tf.zeros(int(bins) - 1), name=f"raw_{j}"),
        "k": tf.Variable(steepness, trainable=False, name=f"k_{j}"),
    }


gato_sigmoid_model = SigmoidModel
