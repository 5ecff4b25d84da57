"""Numbers from what people hold: nothing is dropped or turned into something else on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gato_coffea.errors import InputError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

SCORES = ("x", "NN_output")
"""Columns that hold all discriminants of an event, where no column has the name of one."""

NO_NUMBERS = {
    "c": "complex numbers",
    "M": "dates",
    "m": "durations",
    "S": "text",
    "U": "text",
    "V": "records",
    "T": "text",
}
"""Kinds of arrays that NumPy would turn into numbers, or that hold none."""


def numbers(value: object, *, place: str) -> FloatArray:
    """An array of float64 without copying one that is that already.

    Parameters
    ----------
    value
        An array of NumPy or awkward, a column of a table, or a list; of vectors of one length,
        or of numbers. What is masked or missing becomes NaN.
    place
        What an error message begins with.

    Raises
    ------
    InputError
        If the values are no real numbers, or vectors of different lengths.
    """
    try:
        array: Any = np.ma.asarray(_plain(value))
        if array.dtype.kind == "O":
            array = _stacked(list(array))
        if array.dtype.kind not in NO_NUMBERS:
            with np.errstate(over="ignore"):
                array = array.astype(np.float64, copy=False)
            masked = np.ma.is_masked(array)
            return np.ma.filled(array, np.nan) if masked else np.asarray(array)
    except (TypeError, ValueError, OverflowError) as error:
        text = " ".join(str(error).split())
        raise InputError(f"{place}: must hold numbers, in one shape ({text})") from None
    raise InputError(f"{place}: must hold numbers (got {NO_NUMBERS[array.dtype.kind]})")


def _plain(value: object) -> Any:
    """Arrays of other libraries as those of NumPy, with a mask where values are missing."""
    return value.to_numpy() if hasattr(value, "to_numpy") else value


def _stacked(rows: Sequence[Any]) -> Any:
    """An array of vectors, or of numbers, from a list of them."""
    if not rows:
        return np.ma.zeros(0)
    masked = any(isinstance(row, np.ma.MaskedArray) for row in rows)
    result = np.ma.stack(rows) if masked else np.stack(rows)
    if result.dtype.kind == "O" and any(isinstance(v, str | bytes) for v in result.ravel()):
        raise ValueError("got text")
    return np.ma.asarray(result)


def columns_of(value: Any) -> list[str] | None:
    """Names of the columns of a table, or None for what is no table."""
    if hasattr(value, "columns"):
        return [str(name) for name in value.columns]
    if isinstance(getattr(value, "fields", None), list) and value.fields:  # awkward records
        return list(value.fields)
    names = getattr(getattr(value, "dtype", None), "names", None)
    if names is not None:  # records of NumPy
        return list(names)
    return [str(name) for name in value] if hasattr(value, "keys") else None


def matrix(value: Any, names: Sequence[str], *, place: str) -> FloatArray:
    """Discriminants of events, shape ``(N, D)``.

    Parameters
    ----------
    value
        An array ``(N, D)``, or ``(N,)`` of one discriminant; or a table (DataFrame, mapping of
        columns, records), whose columns are found by their names, in any order. Where none of
        the names is there, its column ``x`` or ``NN_output`` counts as the array.
    names
        Those of the discriminants.
    place
        What an error message begins with.

    Raises
    ------
    InputError
        If a column is missing, the values are no numbers, or there are not as many columns as
        names.
    """
    found = columns_of(value)
    if found is not None and not set(names) & set(found):
        whole = next((name for name in SCORES if name in found), None)
        value, found = (value, found) if whole is None else (value[whole], None)
    if found is not None:
        for name in names:
            if name not in found:
                raise InputError(
                    f"{place}: column {name!r} is missing (got {', '.join(found)}; a table goes "
                    "by the names of its columns, an array by their order)"
                )
        each = [numbers(value[name], place=f"{place}: {name}") for name in names]
        shapes = {column.shape for column in each}
        if len(shapes) > 1 or each[0].ndim != 1:
            raise InputError(f"{place}: columns must have one number an event (got {shapes})")
        return np.stack(each, axis=-1)
    x = numbers(value, place=place)
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or x.shape[1] != len(names):
        raise InputError(
            f"{place}: need {len(names)} columns ({', '.join(names)}) (got shape {x.shape})"
        )
    return x
