"""From events as people hold them to the tensors that the models take."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from gato_coffea.errors import InputError, require
from gato_coffea.events.samples import FloatArray, as_sample
from gato_coffea.optimisation.training.tensors import Tensor

if TYPE_CHECKING:
    import pandas as pd


SCORE, SCORE_ALIAS = "NN_output", "x"
OTHER_NAME = {SCORE: SCORE_ALIAS, SCORE_ALIAS: SCORE, "weight": "w", "w": "weight"}
"""The documented interface calls score and weight by two names each."""


class Columns(dict[str, Tensor]):
    """Columns of a process by name; score and weight answer to both of their names.

    They count once: in iteration and length stands the name that they were given.
    """

    def __missing__(self, name: str) -> Tensor:
        other = OTHER_NAME.get(name, name)
        if other in self.keys():
            return dict.__getitem__(self, other)
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return name in self.keys() or OTHER_NAME.get(str(name)) in self.keys()

    def get(self, name: str, default: object = None) -> Any:
        """The column by either of its names, or ``default``."""
        try:
            return self[name]
        except KeyError:
            return default


def _is_pandas(value: object, kind: str) -> bool:
    """Whether a value is a table or column of pandas, which is loaded if there is one."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, getattr(pandas, kind))


def is_table(value: object) -> bool:
    """Whether a value is one process with named columns."""
    if _is_pandas(value, "DataFrame"):
        return True
    return isinstance(value, Mapping) and (SCORE in value or SCORE_ALIAS in value)


def column(value: Any, name: str, *, process: str = "data") -> Any:
    """A column of a process; the score also goes by ``x``, and the weight by ``w``.

    Raises
    ------
    InputError
        If it is missing.
    """
    for key in (name, OTHER_NAME.get(name, name)):
        if key in value:
            return value[key]
    found = ", ".join(str(key) for key in value)
    raise InputError(f"{process}: column {name!r} is missing (got {found})")


def matrix(value: Any, *, dtype: Any = tf.float32) -> Tensor:
    """Discriminants as a tensor ``(N, D)`` from a table, a tensor or an array.

    ``(0, 0)`` from a table of vectors that holds no event.

    Raises
    ------
    InputError
        If it is one number.
    """
    x = column(value, SCORE) if is_table(value) else value
    if _is_pandas(x, "Series"):
        x = _rows(x) if x.dtype == object else x.to_numpy()
    x = tf.cast(x, dtype)
    if x.shape.rank == 0:
        raise InputError(f"events: must have shape (N,) or (N, D) (got the number {x})")
    return x[:, None] if x.shape.rank == 1 else x


def _rows(column: Any, *, width: int = 0) -> FloatArray:
    """A column of vectors as ``(N, D)``; without events their length is ``width``."""
    return np.stack(list(column)) if len(column) else np.empty((0, width))


def each_process(data: Any, function: Callable[[Any], Any]) -> Any:
    """What a function gives for a tensor, array or table, or for each entry of a mapping of them.

    The result mirrors the form of ``data``.
    """
    if isinstance(data, Mapping) and not is_table(data):
        return {process: function(value) for process, value in data.items()}
    return function(data)


def df_dict_to_tensors(data_dict: Mapping[str, Any]) -> dict[str, Columns]:
    """Tensors of every process.

    Parameters
    ----------
    data_dict
        A DataFrame (or mapping of columns) per process, with ``NN_output`` (a number or an array
        a row) and ``weight``.

    Returns
    -------
    dict[str, Columns]
        For each process float32 tensors ``x``, ``(N,)`` or ``(N, D)``, ``w`` and any other
        numeric column, ``(N,)`` each. The first two answer to ``NN_output`` and ``weight`` too.

    Raises
    ------
    InputError
        If a needed column is missing, of the wrong shape, or not finite.
    """
    result = {}
    scores = {
        process: np.asarray(column(value, SCORE, process=process))
        for process, value in data_dict.items()
    }
    width = max((len(s[0]) for s in scores.values() if s.dtype == object and len(s)), default=1)
    for process, value in data_dict.items():
        score = scores[process]
        flat = score.ndim == 1 and score.dtype != object
        if not flat and not len(score):
            value = {**value, SCORE: _rows(score, width=width)}
        sample = as_sample(value, name=process)
        tensors = Columns(
            {
                SCORE_ALIAS: tf.constant(sample.x[:, 0] if flat else sample.x, tf.float32),
                "w": tf.constant(sample.weight, tf.float32),
            }
        )
        for name in value:
            if name not in tensors:
                values = np.asarray(value[name])
                if values.dtype.kind in "fiub":
                    tensors[str(name)] = tf.constant(values.astype(np.float32))
        result[process] = tensors
    return result


def convert_mass_data_to_tensors(data_dict: Mapping[str, object]) -> dict[str, Columns]:
    """Tensors ``NN_output``, ``weight`` and ``mass`` of every process.

    Parameters
    ----------
    data_dict
        As in `df_dict_to_tensors`, with a column ``mass`` in GeV.

    Returns
    -------
    dict[str, Columns]
        As `df_dict_to_tensors`, under the names of the input and without further columns.

    Raises
    ------
    InputError
        As `df_dict_to_tensors`, and if ``mass`` is missing.
    """
    result = {}
    for process, tensors in df_dict_to_tensors(data_dict).items():
        column(tensors, "mass", process=process)
        result[process] = Columns({name: tensors[name] for name in (SCORE, "weight", "mass")})
    return result


def slice_to_2d_features(data_dict: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """The events with only the first two components of their score.

    Parameters
    ----------
    data_dict
        A DataFrame per process whose ``NN_output`` holds an array of two or more a row.

    Returns
    -------
    dict[str, pd.DataFrame]
        New frames; those that came in are left as they are.
    """
    require("pandas", place="slice_to_2d_features")
    import pandas as pd

    result = {}
    for process, frame in data_dict.items():
        table = pd.DataFrame(frame)
        score = _rows(column(table, SCORE, process=process), width=2)
        if score.ndim != 2 or score.shape[1] < 2:
            raise InputError(
                f"{process}.{SCORE}: needs two or more components a row (got shape {score.shape})"
            )
        result[process] = table.assign(
            **{SCORE: pd.Series(list(score[:, :2]), index=table.index, dtype=object)}
        )
    return result
