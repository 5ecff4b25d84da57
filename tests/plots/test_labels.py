"""Labels: which of them matplotlib can read."""

from __future__ import annotations

import pytest

from gato_coffea.plots.labels import label_problem


@pytest.mark.parametrize(
    "label",
    [
        *("", "score", r"$m_{\mu\mu}$ [GeV]", "price [$]", r"\$5 and \$6", "a$b$c$"),
        *(r"$\mathrm{p}_T$ of $x^2$", "two\nlines, $x$", r"$\text{GeV}$"),
    ],
)
def test_labels_that_can_be_read(label: str) -> None:
    assert label_problem(label) is None


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (r"$\mumu$", r"Unknown symbol: \mumu"),
        (r"mass $\frac{a$", "Expected"),
        (r"$p_T^{miss$", "Expected end_group"),
        ("fine\n" + r"$\nothing$", "Unknown symbol"),
    ],
)
def test_labels_that_cannot(label: str, expected: str) -> None:
    problem = label_problem(label)
    assert problem is not None
    assert problem.startswith(expected)
    assert "\n" not in problem
