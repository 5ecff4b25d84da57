"""Labels that matplotlib has to read, looked at before anything is drawn."""

from __future__ import annotations

from gato_coffea.config import Analysis
from gato_coffea.errors import ConfigError


def check_labels(analysis: Analysis) -> None:
    """Refuse labels whose mathematics matplotlib cannot read.

    Raises
    ------
    ConfigError
        With the first such label, and the place in it.
    """
    labels = {f"discriminants.{d.name}.label": d.label or "" for d in analysis.discriminants}
    labels["plots.label"] = analysis.plots.label or ""
    if analysis.mass is not None:
        labels["mass.label"] = analysis.mass.label
    for key, label in labels.items():
        problem = label_problem(label)
        if problem is not None:
            raise ConfigError(
                f"{analysis.name}: {key}: matplotlib cannot read it ({problem}; got {label!r})"
            )


def label_problem(label: str) -> str | None:
    r"""What is wrong with the mathematics between dollar signs, in one line; None if nothing.

    >>> label_problem(r"$m_{\mu\mu}$"), label_problem("price [$]")
    (None, None)
    """
    if "$" not in label:
        return None
    from matplotlib.mathtext import MathTextParser

    parser = MathTextParser("path")
    for line in label.split("\n"):
        if line.replace(r"\$", "").count("$") % 2 == 0:  # else no dollar sign has a meaning
            try:
                parser.parse(line)
            except ValueError as error:
                told = " ".join(str(error).strip().splitlines()[-1].split())
                return told.partition("Exception: ")[2] or told
    return None
