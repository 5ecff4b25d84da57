"""Combine cards, read with the rules of combine's own parser (``DatacardParser.py``)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass
class Card:
    """What combine understands of a card."""

    observed: dict[str, float] = field(default_factory=dict)
    rates: dict[tuple[str, str], float] = field(default_factory=dict)
    signal: dict[str, bool] = field(default_factory=dict)
    systematics: dict[tuple[str, str], dict[tuple[str, str], Any]] = field(default_factory=dict)
    simulation: dict[str, float] = field(default_factory=dict)
    shapes: list[str] = field(default_factory=list)
    free: dict[str, list[tuple[str, str]]] = field(default_factory=dict)


def factor(cell: str) -> float | tuple[float, float]:
    """An effect: one number, or that down over that up."""
    down, _, up = cell.partition("/")
    return (float(up), float(down)) if up else float(down)


def parsed(text: str) -> Card:
    """A card by combine's grammar: cells are split at white space, keywords begin a line.

    Stricter than combine where that is silent: every declared number is checked, and every line
    is understood or an error.
    """
    lines = [line.split() for line in text.splitlines()]
    lines = [f for f in lines if f and not f[0].startswith(("--", "#"))]
    rate = next(i for i, f in enumerate(lines) if f[0] == "rate")
    card, counts, bins, names, numbers = Card(), {}, [], [], []
    for keyword, *cells in lines[: rate + 1]:
        if keyword in ("imax", "jmax", "kmax"):
            counts[keyword] = cells[0]
        elif keyword == "shapes":
            assert len(cells) == 5
            card.shapes = cells
        elif keyword == "bin":
            assert not any(re.match("[0-9]", name) for name in cells)
            bins = cells
        elif keyword == "observation":
            card.observed = dict(zip(bins, map(float, cells), strict=True))
        elif keyword == "process":
            names, numbers = (names, cells) if names else (cells, numbers)
        else:
            assert keyword == "rate"
            card.rates = dict(zip(zip(bins, names, strict=True), map(float, cells), strict=True))
    assert len(numbers) == len(names) == len(card.rates)
    for name, number in zip(names, numbers, strict=True):
        assert card.signal.setdefault(name, int(number) <= 0) == (int(number) <= 0)
    assert counts["imax"] == str(len(card.observed))
    assert counts["jmax"] == str(len(card.signal) - 1)
    assert {name for name, _ in card.rates} == set(card.observed)
    for name, kind, *cells in lines[rate + 1 :]:
        if kind == "autoMCStats":
            assert name in card.observed
            card.simulation[name] = float(cells[0])
            continue
        if kind == "rateParam":
            bin_, process_, start, limits = cells
            assert (bin_, process_) in card.rates
            low, high = map(float, limits.strip("[]").split(","))
            assert low <= float(start) <= high
            card.free.setdefault(name, []).append((bin_, process_))
            continue
        assert kind in ("shape", "lnN")
        assert (name, kind) not in card.systematics
        values = [0.0 if set(c) == {"-"} else factor(c) for c in cells]
        card.systematics[name, kind] = dict(zip(card.rates, values, strict=True))
    assert {kind for _, kind in card.systematics} <= {"shape", "lnN"}
    return card


@pytest.fixture
def parse() -> Callable[[str], Card]:
    """What reads a card by combine's grammar."""
    return parsed
