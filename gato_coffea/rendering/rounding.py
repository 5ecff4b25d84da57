"""Numbers as text: a figure with its uncertainty has two significant digits of the uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import SupportsFloat, TypeGuard

NONE = "-"
"""What stands where there is no number."""

SIGNIFICANT_DIGITS = 2
"""Digits of an uncertainty: with one, rounding alone may change it by a third (0.15 to 0.2)."""

DEFAULT_DECIMALS = 3
"""Decimals of a figure whose uncertainty is not known: those of a significance near one with the
usual uncertainty of a few percent, and one more."""

MIN_ERROR_SHARE = 0.1
"""Part of the largest uncertainty below which another does not decide the digits: added in
quadrature it changes the sum by less than a percent, the second digit."""

MAX_PLAIN, MIN_PLAIN = 1e8, 1e-4
"""Sizes from which on, and below which, a number is written with a power of ten: more zeros than
these are counted and not read."""


def decimals(*errors: float | None) -> int:
    """Decimals that show two digits of the smallest uncertainty that counts.

    Below zero where the last digit written stands before the decimal point; three where no
    uncertainty is known.

    >>> decimals(0.0123), decimals(1.9), decimals(43.0), decimals(1348.0), decimals(None)
    (3, 1, 0, -2, 3)
    >>> decimals(1.3, 0.8), decimals(1.3, 0.008)
    (2, 1)
    """
    known = [e for e in errors if _is_known(e)]
    if not known:
        return DEFAULT_DECIMALS
    smallest = min(e for e in known if e >= MIN_ERROR_SHARE * max(known))
    # 0.0996 is 0.10 to two digits: what is rounded up has one decimal less.
    return SIGNIFICANT_DIGITS - 1 - int(f"{smallest:.{SIGNIFICANT_DIGITS - 1}e}".partition("e")[2])


def rounded(value: SupportsFloat | None, digits: int) -> str:
    """A number to so many decimals, below zero to tens, hundreds and so on; a dash without one.

    >>> rounded(1.23456, 2), rounded(25891.4, -2), rounded(None, 2), rounded(-0.001, 1)
    ('1.23', '25900', '-', '0.0')
    """
    if value is None or not math.isfinite(float(value)):
        return NONE
    text = f"{round(float(value), digits):.{max(digits, 0)}f}"
    return text.lstrip("-") if not float(text) else text


def with_error(
    value: SupportsFloat | None, *errors: float | None, names: Sequence[str] = ()
) -> str:
    """A figure with its uncertainties, all to the same digit.

    An uncertainty that is not known is left out; ``names`` are written behind them in brackets.

    >>> with_error(1348.2, 22.48), with_error(0.12345, 0.0041), with_error(25891, 1348)
    ('1348 ± 22', '0.1235 ± 0.0041', '25900 ± 1300')
    >>> with_error(336.2, 41.3, 135.1, names=("stat", "function"))
    '336 ± 41 (stat) ± 135 (function)'
    >>> with_error(1.5, None), with_error(2.5, 0.0), with_error(3.0e9, 1.2e7)
    ('1.500', '2.5', '(3.000 ± 0.012)e+09')
    """
    if value is None or not math.isfinite(float(value)):
        return NONE
    labels = [f" ({name})" for name in names] or [""] * len(errors)
    known = [(float(e), n) for e, n in zip(errors, labels, strict=True) if _is_known(e)]
    if not known:
        return rounded(value, decimals()) if None in errors else amount(value)
    sizes = [e for e, _ in known]
    power = 0
    if not MIN_PLAIN <= max(abs(float(value)), *sizes) < MAX_PLAIN:
        power = int(f"{max(abs(float(value)), *sizes):e}".partition("e")[2])
    digits = decimals(*(e / 10.0**power for e in sizes))
    parts = [rounded(float(value) / 10.0**power, digits)]
    parts += [f"{rounded(e / 10.0**power, digits)}{name}" for e, name in known]
    text = " ± ".join(parts)
    return f"({text})e{power:+03d}" if power else text


def _is_known(error: float | None) -> TypeGuard[float]:
    return error is not None and 0 < error < math.inf


def amount(value: SupportsFloat | None, *, digits: int = 4) -> str:
    """A number without an uncertainty: four digits; from a thousand to a hundred million, whole.

    >>> amount(25891.4), amount(108.683), amount(0.0095), amount(3e9), amount(float("nan"))
    ('25891', '108.7', '0.0095', '3e+09', '-')
    """
    if value is None or not math.isfinite(float(value)):
        return NONE
    number = float(value)
    return f"{number:.0f}" if 1e3 <= abs(number) < MAX_PLAIN else f"{number:.{digits}g}"


def uncertainty(value: float | None) -> str:
    """An uncertainty, a ratio or a probability by itself: two significant digits.

    >>> uncertainty(135.2), uncertainty(0.0412), uncertainty(0.8), uncertainty(None)
    ('140', '0.041', '0.80', '-')
    """
    if value is None or not math.isfinite(value):
        return NONE
    if value != 0 and not MIN_PLAIN <= abs(value) < MAX_PLAIN:
        return f"{value:.{SIGNIFICANT_DIGITS - 1}e}"
    return rounded(value, decimals(abs(value))) if value else "0"
