"""The Gaussian mixture whose components are event categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from gato_coffea.categories import MixtureCategories
from gato_coffea.categories.boundaries import mixture_boundaries
from gato_coffea.errors import InputError, require
from gato_coffea.events.samples import Feature, FloatArray, IntArray
from gato_coffea.gato.binning import BinningModel, by_falling
from gato_coffea.gato.initial import crowded_means, information_start, spread_means
from gato_coffea.optimisation.training import mixture
from gato_coffea.optimisation.training.tensors import Tensor

VARIABLES = ("mixture_logits", "means", "unconstrained_L")


class GaussianMixtureModel(BinningModel):
    """Categories as the components of a Gaussian mixture, trained by gradient descent.

    Membership of an event is ``softmax((log N(x | mean, covariance) + log weight) / T)``; its
    category is the component with the largest posterior, at any temperature. To train, subclass,
    override `call`, and differentiate what it returns.

    Parameters
    ----------
    n_cats
        Number of categories.
    dim
        Number of discriminants.
    temperature
        T, at the start. Reads as a float and can be set at any time; a compiled training step
        sees the new value.
    mean_norm
        Where means live: ``softmax`` on the probability simplex, for class probabilities;
        ``sigmoid`` inside ``mean_range``, each coordinate on its own.
    mean_range
        A pair, or one pair a dimension.
    cov_offdiag_damping
        Factor on the correlations.
    name
        Name of the module.

    Attributes
    ----------
    mixture_logits, means, unconstrained_L
        Trainable variables of shape ``(K,)``, ``(K, D)`` and ``(K, D, D)``.
    sigma0
        Width of a component whose raw width is zero, per dimension. It follows ``mean_range``.

    Raises
    ------
    InputError
        If an argument is out of range.
    """

    def __init__(
        self,
        n_cats: int,
        dim: int,
        temperature: float = 1.0,
        mean_norm: mixture.MeanNorm = "softmax",
        mean_range: Sequence[object] = (0.0, 1.0),
        cov_offdiag_damping: float = 0.1,
        name: str = "gato_gmm_model",
    ) -> None:
        super().__init__(name=name)
        if n_cats < 1 or dim < 1:
            raise InputError(f"{name}: n_cats and dim must be positive (got {n_cats}, {dim})")
        if mean_norm not in ("softmax", "sigmoid"):
            raise InputError(f"{name}: mean_norm must be softmax or sigmoid (got {mean_norm!r})")
        self.n_cats, self.dim = int(n_cats), int(dim)
        self.mean_norm: mixture.MeanNorm = mean_norm
        self.mean_range = mixture.mean_ranges(mean_range, self.dim, place=name)
        self.cov_offdiag_damping = float(cov_offdiag_damping)
        self._temperature = tf.Variable(1.0, trainable=False, dtype=tf.float32, name="temperature")
        self.temperature = temperature
        low, high = np.array(self.mean_range).T
        span = high - low if mean_norm == "sigmoid" else np.ones(self.dim)
        self.sigma0: tuple[float, ...] = tuple(span * self.n_cats ** (-1.0 / self.dim))
        self.mixture_logits = tf.Variable(tf.zeros(self.n_cats), name="mixture_logits")
        self.means = tf.Variable(tf.zeros((self.n_cats, self.dim)), name="means")
        self.unconstrained_L = tf.Variable(
            tf.zeros((self.n_cats, self.dim, self.dim)), name="unconstrained_L"
        )
        if mean_norm == "softmax":
            means = spread_means(self.n_cats, self.dim, on_simplex=True)
            self._start(means, np.broadcast_to(self.sigma0, means.shape))
        elif self.dim == 1:
            means, widths = crowded_means(self.n_cats)
            self._start(low + span * means, span * widths)
        else:
            means = low + span * spread_means(self.n_cats, self.dim)
            self._start(means, np.broadcast_to(self.sigma0, means.shape))

    def _start(self, means: FloatArray, widths: FloatArray) -> None:
        """Put equally weighted, uncorrelated components of shape ``(K, D)``."""
        raw = mixture.raw_means(means, mean_norm=self.mean_norm, mean_range=self.mean_range)
        scale = np.zeros((self.n_cats, self.dim, self.dim))
        dims = np.arange(self.dim)
        scale[:, dims, dims] = np.log(widths / np.asarray(self.sigma0))
        self.mixture_logits.assign(tf.zeros(self.n_cats))
        self.means.assign(tf.cast(raw, tf.float32))
        self.unconstrained_L.assign(tf.cast(scale, tf.float32))

    @property
    def temperature(self) -> Any:
        """T: a float, or inside a compiled function the tensor that is read at each call."""
        return self._temperature.value() if tf.inside_function() else float(self._temperature)

    @temperature.setter
    def temperature(self, value: Any) -> None:
        if not tf.is_symbolic_tensor(value) and not float(value) > 0:
            raise InputError(f"{self.name}: temperature must be positive (got {value})")
        self._temperature.assign(tf.cast(value, tf.float32))

    def initialise(
        self,
        data_dict: Mapping[str, object],
        *,
        signal_labels: Sequence[str] | None = None,
        seed: int = 0,
    ) -> None:
        """Start from the data: components lie where the signals stand out, as wide as their gaps.

        Parameters
        ----------
        data_dict
            For each process ``NN_output`` and ``weight``.
        signal_labels
            The signals; processes whose name starts with ``signal`` by default.
        seed
            Same seed, same start.
        """
        signals = self._signal_labels(data_dict, signal_labels)
        self._start(*information_start(data_dict, signals, self.n_cats, seed=seed))

    def get_effective_means(self) -> Tensor:
        """Means in the space of the events, shape ``(K, D)``."""
        return mixture.effective_means(
            tf.convert_to_tensor(self.means),
            mean_norm=self.mean_norm,
            mean_range=self.mean_range,
        )

    def get_scale_tril(self) -> Tensor:
        """Lower Cholesky factors of the covariances, shape ``(K, D, D)``."""
        return mixture.scale_tril(
            tf.convert_to_tensor(self.unconstrained_L),
            sigma0=self.sigma0,
            damping=self.cov_offdiag_damping,
        )

    def get_mixture_weight(self) -> Tensor:
        """Logs of the component weights, which sum to one, shape ``(K,)``."""
        return tf.nn.log_softmax(self.mixture_logits)

    def get_mixture_pdf(self) -> Any:
        """The mixture as a distribution of TensorFlow Probability, to sample, draw or check."""
        require("tensorflow_probability", place="get_mixture_pdf")
        from tensorflow_probability import distributions  # costs seconds; training needs it not

        return distributions.MixtureSameFamily(
            mixture_distribution=distributions.Categorical(logits=self.get_mixture_weight()),
            components_distribution=distributions.MultivariateNormalTriL(
                loc=self.get_effective_means(), scale_tril=self.get_scale_tril()
            ),
        )

    def get_effective_parameters(self) -> dict[str, Any]:
        """Logs of the weights, means and Cholesky factors as lists."""
        return {
            "log mixture weights": self.get_mixture_weight().numpy().tolist(),
            "means": self.get_effective_means().numpy().tolist(),
            "scale_tril": self.get_scale_tril().numpy().tolist(),
        }

    def _soft(self, x: Tensor, softness: object) -> Tensor:
        return mixture.memberships(
            x,
            self.get_effective_means(),
            self.get_scale_tril(),
            self.get_mixture_weight(),
            temperature=self._temperature if softness is None else softness,
        )

    def _hard(self, x: Tensor) -> Tensor:
        joint = mixture.log_joint(
            x,
            tf.cast(self.get_effective_means(), x.dtype),
            tf.cast(self.get_scale_tril(), x.dtype),
            tf.cast(self.get_mixture_weight(), x.dtype),
        )
        return tf.argmax(joint, axis=-1)

    def get_probs(self, data: object, temperature: object = None) -> Any:
        """Soft memberships.

        Parameters
        ----------
        data
            Events ``(N, D)`` or ``(N,)``, or a mapping of them, or of tables with ``NN_output``.
        temperature
            T; that of the model by default.

        Returns
        -------
        Tensor or dict of them
            Shape ``(N, K)``, in the form of ``data``.
        """
        return self._memberships(data, temperature)

    def get_bin_indices(self, data: object, temperature: object = None) -> Any:
        """Categories of events.

        Parameters
        ----------
        data
            As in `get_probs`.
        temperature
            Changes nothing: the largest posterior is the largest at any temperature.

        Returns
        -------
        Tensor or dict of them
            int32, shape ``(N,)``, in the form of ``data``; -1 for an event with a NaN.
        """
        return self._bins(data)

    def get_bias(
        self, data_dict: Mapping[str, object], temperature: object = None, eps: float = 1e-8
    ) -> FloatArray:
        """How far soft yields are off the hard ones: ``(hard - soft) / hard``.

        Parameters
        ----------
        data_dict
            For each process ``NN_output`` and ``weight``; yields are those of all processes.
        temperature
            T; that of the model by default.
        eps
            A category with a smaller hard yield is empty: its bias is -1, all of it is soft.

        Returns
        -------
        FloatArray
            Shape ``(K,)``.
        """
        return self._bias(data_dict, temperature, eps)

    def get_effective_boundaries_1d(
        self, *, n_points: int = 100_000, return_mapping: bool = False
    ) -> Any:
        """Boundaries between the categories of a one-dimensional model.

        Parameters
        ----------
        n_points
            Changes nothing: the boundaries are exact.
        return_mapping
            Whether the categories from left to right are returned too.

        Returns
        -------
        Tensor
            float64, increasing, inside ``mean_range`` (0 to 1 for ``softmax``). ``K - 1`` of them
            where every category is one interval. With ``return_mapping`` a tuple of it and the
            category of each interval, int32.

        Raises
        ------
        InputError
            If the model has more than one dimension.
        """
        boundaries, winners = self._intervals()
        if return_mapping:
            return tf.constant(boundaries), tf.constant(winners, tf.int32)
        return tf.constant(boundaries)

    def _intervals(self) -> tuple[FloatArray, IntArray]:
        if self.dim != 1:
            raise InputError(f"{self.name}: boundaries need one dimension (got {self.dim})")
        low, high = self.mean_range[0] if self.mean_norm == "sigmoid" else (0.0, 1.0)
        return mixture_boundaries(
            self.get_effective_means().numpy()[:, 0],
            self.get_scale_tril().numpy()[:, 0, 0],
            self.get_mixture_weight().numpy(),
            low=low,
            high=high,
        )

    def compute_hard_bkg_stats(
        self,
        data_dict: Mapping[str, object],
        signal_labels: Sequence[str] | None = None,
        eps: float = 1e-8,
    ) -> tuple[FloatArray, FloatArray, IntArray]:
        """Background yield and its relative statistical uncertainty in each category.

        Parameters
        ----------
        data_dict
            For each process ``NN_output`` and ``weight``.
        signal_labels
            The signals; processes whose name starts with ``signal`` by default.
        eps
            A smaller yield counts as none; it is uncertain by 1.

        Returns
        -------
        tuple[FloatArray, FloatArray, IntArray]
            Yields and relative uncertainties, ordered from left to right in one dimension, else by
            falling significance, and the order: the category at each place.
        """
        background, relative, z2 = self._hard_background(data_dict, signal_labels, eps)
        order = by_falling(z2)
        if self.dim == 1:
            by_mean = np.argsort(self.get_effective_means().numpy()[:, 0], kind="stable")
            winners = list(dict.fromkeys(self._intervals()[1].tolist()))
            order = np.array(winners + [k for k in by_mean if k not in winners])
        order = order.astype(np.int32)
        return background[order], relative[order], order

    def to_categories(
        self, features: Sequence[Feature], *, order: Sequence[int] | None = None
    ) -> MixtureCategories:
        """The trained model as portable categories.

        Parameters
        ----------
        features
            The discriminants, with linear scale.
        order
            The components from the least to the most signal-like; as they stand by default.

        Raises
        ------
        InputError
            If the features are not those of the model.
        """
        if len(features) != self.dim or any(f.scale != "linear" for f in features):
            raise InputError(f"{self.name}: needs {self.dim} features of linear scale")
        low = np.array([f.low for f in features])
        span = np.array([f.high for f in features]) - low
        label = np.empty(self.n_cats, dtype=np.int64)
        components = np.arange(self.n_cats)
        label[components if order is None else np.asarray(order)] = components
        return MixtureCategories(
            features=tuple(features),
            label=label,
            means=(self.get_effective_means().numpy().astype(np.float64) - low) / span,
            scale_tril=self.get_scale_tril().numpy().astype(np.float64) / span[:, None],
            log_weights=self.get_mixture_weight().numpy().astype(np.float64),
        )

    def _make(self) -> dict[str, Any]:
        return {
            "kind": "mixture",
            "n_cats": self.n_cats,
            "dim": self.dim,
            "mean_norm": self.mean_norm,
            "mean_range": [list(pair) for pair in self.mean_range],
            "cov_offdiag_damping": self.cov_offdiag_damping,
        }

    def _state(self) -> dict[str, Any]:
        scalars = {"sigma0": list(self.sigma0), "temperature": float(self._temperature)}
        return scalars | {name: getattr(self, name).numpy().tolist() for name in VARIABLES}

    def _set_state(self, state: Mapping[str, Any]) -> None:
        values = {name: np.asarray(state[name], dtype=np.float32) for name in VARIABLES}
        sigma0 = tuple(float(s) for s in state["sigma0"])
        temperature = float(state["temperature"])
        for name, value in values.items():
            if value.shape != tuple(getattr(self, name).shape):
                raise ValueError(f"{name} has shape {value.shape}")
        if len(sigma0) != self.dim or not min(*sigma0, temperature) > 0:
            raise ValueError(f"sigma0 {sigma0}, temperature {temperature}")
        for name, value in values.items():
            getattr(self, name).assign(value)
        self.sigma0, self.temperature = sigma0, temperature


gato_gmm_model = GaussianMixtureModel
