"""Trained categories: NumPy inference, JSON in and out.

A categories file is small, portable and complete: dask workers apply it without TensorFlow. Two
kinds exist. A `MixtureCategories` assigns an event to the Gaussian component with the largest
posterior; an `EdgeCategories` looks it up in a rectangular table, which in one dimension is a
list of bin edges.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self, final, get_args

import numpy as np

from gato_coffea.errors import InputError
from gato_coffea.events.arrays import matrix
from gato_coffea.events.samples import Feature, FloatArray, Grid, IntArray, Scale
from gato_coffea.files import DAMAGED, is_damaged, read_json, write_text

SCHEMA_VERSION = 1
"""Version of the JSON file; another one is refused."""

BLOCK = 20_000
"""Events whose posteriors are computed at a time: with 50 components 8 MB, which stay in the
cache."""

LARGEST_TABLE = 20_000_000
"""Cells of the largest table that is read: far more than are made, and 160 MB in memory."""

LARGEST_END = 1e100
"""Ends of ranges beyond this have differences, and squares of them, that are no numbers."""

SMALLEST_WIDTH, LARGEST_PARAMETER = 1e-12, 1e12
"""Widths of components, and their other parameters, in units of the stretched range of a feature;
what is far beyond any trained one overflows when it is squared."""


@dataclass(frozen=True, kw_only=True)
class Categories(ABC):
    """Categories of events; category 0 is the least signal-like.

    Attributes
    ----------
    features
        The discriminants in the order of the columns of ``x``.
    label
        Category of every component or table cell, an integer array.
    training
        How the categories came about: package version, seed, significances and so on.
    """

    kind: ClassVar[str]
    features: tuple[Feature, ...]
    label: IntArray
    training: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        names = ", ".join(f.name for f in self.features)
        return f"{type(self).__name__}({self.n_categories} categories in {names})"

    def _repr_html_(self) -> str:
        from gato_coffea.categories.tables import category_summary

        return category_summary(self).html()

    @property
    def n_categories(self) -> int:
        """Number of categories."""
        return int(self.label.max()) + 1

    def assign(self, x: object) -> IntArray:
        """Category of each event.

        Parameters
        ----------
        x
            Discriminants, shape ``(N, D)``, or ``(N,)`` where there is one; or a table
            (DataFrame, mapping of columns, records) whose columns have their names.

        Returns
        -------
        IntArray
            Shape ``(N,)``; -1 for an event with a NaN or masked discriminant, or with one outside
            a range that is not open.

        Raises
        ------
        InputError
            If the number of columns is not that of the features, one is missing, or what they
            hold is no number.
        """
        x = matrix(x, [f.name for f in self.features], place="categories")
        x = np.stack([f.bounded(x[:, d]) for d, f in enumerate(self.features)], axis=-1)
        inside = np.all([f.inside(x[:, d]) for d, f in enumerate(self.features)], axis=0)
        result = np.full(len(x), -1, dtype=np.int64)
        component = self._component(x[inside])
        result[inside] = np.where(component < 0, -1, self.label[component])
        return result

    @abstractmethod
    def _component(self, x: FloatArray) -> IntArray:
        """Flat component of each event inside the ranges; -1 where a table has no cell."""

    @abstractmethod
    def _parameters(self) -> dict[str, Any]:
        """The parameters of the kind, as JSON values."""

    def relabelled(self, label: Sequence[int] | IntArray) -> Self:
        """The same categories with category ``k`` called ``label[k]``; equal labels merge."""
        mapping = np.asarray(label, dtype=np.int64)
        return replace(self, label=mapping[self.label])

    def to_dict(self) -> dict[str, Any]:
        """Content of the JSON file."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "n_categories": self.n_categories,
            "order": "category 0 is the least signal-like",
            "features": [_feature(f) for f in self.features],
            "parameters": self._parameters(),
            "training": dict(self.training),
        }

    def save(self, path: str | Path) -> None:
        """Write the JSON file, whole or not at all."""
        write_text(path, json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")

    @staticmethod
    def load(path: str | Path, *, features: Sequence[str] | None = None) -> Categories:
        """Read a categories file.

        Parameters
        ----------
        path
            A file that `save` has written.
        features
            Names of the discriminants that the file must have, in this order.

        Raises
        ------
        InputError
            If it is missing, no categories file, of another schema version, or made for other
            discriminants.
        """
        path = Path(path)
        content = read_json(path, what="categories")
        if not isinstance(content, dict) or "schema_version" not in content:
            raise InputError(f"{path}: is no categories file (schema_version is missing)")
        if content["schema_version"] != SCHEMA_VERSION:
            raise InputError(
                f"{path}: schema_version must be {SCHEMA_VERSION} "
                f"(got {content['schema_version']!r})"
            )
        try:
            result = from_dict(content)
        except DAMAGED as error:
            raise is_damaged(path, error) from None
        names = [f.name for f in result.features]
        if features is not None and names != list(features):
            raise InputError(
                f"{path}: made for discriminants {names} (requested {list(features)})"
            )
        return result


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class MixtureCategories(Categories):
    """The component of a Gaussian mixture with the largest posterior.

    Means ``(K, D)``, lower Cholesky factors ``(K, D, D)`` and log weights ``(K,)`` stand in the
    stretched coordinates of the features (`Feature.stretch`). Where ``support`` ``(D, 2)`` gives
    the range that they were trained on, an event beyond it counts as at its border: far out, the
    broadest component would win, whatever it stands for.
    """

    kind: ClassVar[str] = "mixture"
    means: FloatArray
    scale_tril: FloatArray
    log_weights: FloatArray
    support: FloatArray | None = None

    def log_posterior(self, u: FloatArray) -> FloatArray:
        """Log of weight times density, up to a common constant.

        Parameters
        ----------
        u
            Stretched discriminants, shape ``(N, D)``.

        Returns
        -------
        FloatArray
            Shape ``(N, K)``.
        """
        # A quadratic form: one matrix product of the monomials of u with its coefficients.
        inverse = np.linalg.inv(self.scale_tril)
        precision = np.einsum("kij,kil->kjl", inverse, inverse)
        slope = np.einsum("kij,kj->ki", precision, self.means)
        diagonal = np.diagonal(self.scale_tril, axis1=1, axis2=2)
        constant = self.log_weights - np.log(diagonal).sum(axis=1)
        constant -= 0.5 * (slope * self.means).sum(axis=1)
        i, j = np.tril_indices(u.shape[1])
        second = np.where(i == j, -0.5, -1.0) * precision[:, i, j]
        monomials = np.concatenate([u[:, i] * u[:, j], u, np.ones((len(u), 1))], axis=1)
        coefficients = np.concatenate([second, slope, constant[:, None]], axis=1)
        return np.asarray(monomials @ coefficients.T)

    def _component(self, x: FloatArray) -> IntArray:
        result = np.empty(len(x), dtype=np.int64)
        for start in range(0, len(x), BLOCK):
            block = x[start : start + BLOCK]
            u = np.stack([f.stretch(block[:, d]) for d, f in enumerate(self.features)], axis=-1)
            if self.support is not None:
                u = np.clip(u, *self.support.T)
            result[start : start + BLOCK] = self.log_posterior(u).argmax(axis=1)
        return result

    def _parameters(self) -> dict[str, Any]:
        return {
            "means": self.means.tolist(),
            "scale_tril": self.scale_tril.tolist(),
            "log_weights": self.log_weights.tolist(),
            "support": None if self.support is None else self.support.tolist(),
            "label": self.label.tolist(),
        }


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class EdgeCategories(Categories):
    """A rectangular table over the features.

    ``edges`` has one increasing array per feature, and ``label`` one category per table cell,
    in C order: flat, of size ``prod(len(e) - 1)``. Every bin holds its lower edge, the last one
    its upper edge also.
    """

    kind: ClassVar[str] = "edges"
    edges: tuple[FloatArray, ...]

    @classmethod
    def single(cls, features: Sequence[Feature]) -> Self:
        """One category of all events in the ranges of the features, as of a control region."""
        edges = tuple(np.array([f.low, f.high]) for f in features)
        return cls(features=tuple(features), label=np.zeros(1, dtype=np.int64), edges=edges)

    @property
    def boundaries(self) -> FloatArray:
        """In one dimension, the inner edges at which the category changes."""
        if len(self.edges) != 1:
            raise InputError(
                f"categories: boundaries need one discriminant, not {len(self.edges)}"
            )
        return np.asarray(self.edges[0][1:-1][np.diff(self.label) != 0])

    def _component(self, x: FloatArray) -> IntArray:
        return Grid(self.features, self.edges).index(x)

    def _parameters(self) -> dict[str, Any]:
        small = self.label.astype("<i2")
        packed = base64.b64encode(zlib.compress(small.tobytes(), 9)).decode()
        plain = small.size <= 1000
        return {
            "edges": [e.tolist() for e in self.edges],
            "label": small.tolist() if plain else packed,
            "label_encoding": "list" if plain else "base64+zlib, little-endian int16, C order",
        }


def _feature(feature: Feature) -> dict[str, Any]:
    """A feature as JSON; ``open`` stands there where it is true alone."""
    content = asdict(feature)
    return content if content.pop("open") is False else {**content, "open": True}


def _decode_label(parameters: Mapping[str, object], size: int) -> IntArray:
    """Labels of ``size`` components or cells; no more is unpacked than that."""
    if size > LARGEST_TABLE:
        raise ValueError(f"has {size} cells, and no table has more than {LARGEST_TABLE}")
    label = parameters["label"]
    if isinstance(label, str):
        stream = zlib.decompressobj()
        raw = stream.decompress(base64.b64decode(label), 2 * size + 1)
        if len(raw) != 2 * size or not stream.eof:
            raise ValueError("label does not fit the edges")
        result = np.frombuffer(raw, dtype="<i2").astype(np.int64)
    else:
        result = np.asarray(label)
    if result.ndim != 1 or result.size == 0 or result.dtype.kind != "i" or result.min() < 0:
        raise ValueError("label must be a list of whole numbers that are not negative")
    if result.size != size:
        raise ValueError(
            f"label does not fit the edges, or components ({result.size}, not {size})"
        )
    if result.max() > np.iinfo(np.int16).max:
        raise ValueError(f"label must be at most {np.iinfo(np.int16).max} (got {result.max()})")
    return result.astype(np.int64)


def _decode_features(content: Any) -> tuple[Feature, ...]:
    features = tuple(Feature(**f) for f in content)
    if any("scale" not in f for f in content):  # another scale assigns events otherwise
        raise ValueError(f"a feature must say its scale, one of {', '.join(get_args(Scale))}")
    if not features or len({f.name for f in features}) < len(features):
        raise ValueError("features must be one or more, of different names")
    for f in features:
        if not isinstance(f.name, str) or not isinstance(f.open, bool):
            raise ValueError(f"a feature must have a name, and be open or not (got {f})")
        if f.scale not in get_args(Scale):
            raise ValueError(f"scale of {f.name!r} must be one of {', '.join(get_args(Scale))}")
        if not (np.abs([f.low, f.high]) <= LARGEST_END).all() or not f.low < f.high:
            raise ValueError(f"range of {f.name!r} must be two increasing numbers")
        if f.scale == "log" and f.low <= 0:
            raise ValueError(f"range of {f.name!r} must be above zero for scale log")
    return features


def _decode_edges(
    parameters: Mapping[str, Any], features: Sequence[Feature]
) -> tuple[FloatArray, ...]:
    edges = tuple(np.asarray(e, dtype=np.float64) for e in parameters["edges"])
    if len(edges) != len(features) or not all((np.diff(e) > 0).all() for e in edges):
        raise ValueError("edges must increase, one list a feature")
    for feature, e in zip(features, edges, strict=True):
        if len(e) < 2 or e[0] != feature.low or e[-1] != feature.high:
            raise ValueError(f"edges must span the range of {feature.name!r}")
    return edges


def _check_count(content: Mapping[str, object], label: IntArray) -> None:
    n_categories = content.get("n_categories", label.max() + 1)
    if n_categories != label.max() + 1:
        raise ValueError(f"n_categories {n_categories} does not fit labels up to {label.max()}")


def from_dict(content: Mapping[str, object]) -> Categories:
    """Categories from the content of a categories file.

    Raises
    ------
    KeyError, TypeError, ValueError and others of `gato_coffea.files.DAMAGED`
        If the content is damaged.
    """
    parameters = content["parameters"]
    if not isinstance(parameters, Mapping):
        raise ValueError("parameters must be a mapping")
    features = _decode_features(content["features"])
    training = content.get("training", {})
    if not isinstance(training, Mapping):
        raise ValueError("training must be a mapping")
    if content["kind"] == MixtureCategories.kind:
        arrays = {
            name: np.asarray(parameters[name], dtype=np.float64)
            for name in ("means", "scale_tril", "log_weights")
        }
        label = _decode_label(parameters, len(parameters["log_weights"]))
        _check_count(content, label)
        k, d = len(label), len(features)
        shapes = {"means": (k, d), "scale_tril": (k, d, d), "log_weights": (k,)}
        for name, array in arrays.items():
            if array.shape != shapes[name] or not (np.abs(array) <= LARGEST_PARAMETER).all():
                raise ValueError(f"{name} must be finite, of shape {shapes[name]}")
        if (np.diagonal(arrays["scale_tril"], axis1=1, axis2=2) < SMALLEST_WIDTH).any():
            raise ValueError(f"the diagonal of scale_tril must be above {SMALLEST_WIDTH:g}")
        support = parameters.get("support")
        if support is not None:
            support = np.asarray(support, dtype=np.float64)
            increasing = support.shape == (d, 2) and (support[:, 0] <= support[:, 1]).all()
            if not increasing or not (np.abs(support) <= LARGEST_PARAMETER).all():
                raise ValueError(f"support must be increasing pairs, of shape {(d, 2)}")
        result = MixtureCategories(
            features=features, label=label, training=training, support=support, **arrays
        )
        with np.errstate(all="ignore"):
            if not np.isfinite(result.log_posterior(np.ones((1, d)))).all():
                raise ValueError("scale_tril has no inverse")
        return result
    if content["kind"] == EdgeCategories.kind:
        edges = _decode_edges(parameters, features)
        label = _decode_label(parameters, math.prod(len(e) - 1 for e in edges))
        _check_count(content, label)
        return EdgeCategories(features=features, label=label, training=training, edges=edges)
    raise ValueError(f"kind must be mixture or edges, got {content['kind']!r}")
