"""The tables of `training.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
from tables import markdown

Found = dict[str, Any]


def all_tables(found: list[Found], full_epochs: int) -> str:
    """Time, significance and calibration."""
    parts = [time_table(found, full_epochs), significance_table(found)]
    parts += [calibration_table(toy) for toy in found if len(toy["own"]) > 1]
    return "\n".join(parts)


def _ratio(peer: float | None, own: float) -> list[str]:
    if peer is None:
        return ["-", f"{own:.2f}", "-"]
    return [f"{peer:.0f}", f"{own:.2f}", f"{peer / own:.0f}"]


def time_table(found: list[Found], full_epochs: int) -> str:
    """Seconds of both sides, without and with process start and compilation."""
    header = ["toy", "categories", "peer [s]", "gato_coffea [s]", "ratio"]
    header += ["peer, whole process [s]", "gato_coffea, whole process [s]", "ratio"]
    rows = []
    for toy in found:
        t = toy["timing"]
        for i, n in enumerate(toy["counts"]):
            peer = t["peer_each_s"][i] if "peer_s" in t else None
            rows.append([toy["toy"], str(n), *_ratio(peer, t["own_each_s"][i]), "", "", ""])
        together = ", ".join(map(str, toy["counts"]))
        row = [toy["toy"], f"{together} together", *_ratio(t.get("peer_s"), t["own_s"])]
        rows.append(row + _ratio(t.get("peer_whole_s"), t["own_whole_s"]))
    text = (
        f"Peer: its training loops, {full_epochs} epochs for each number of categories, one "
        "start. gato_coffea: the whole call, with starts, folds, restarts, yardsticks and "
        "bootstrap. Process start, reading and compilation are left out in the first three "
        "columns and counted in the last three.\n\n"
    )
    short = {toy["epochs"] for toy in found if toy["epochs"] != full_epochs}
    if short and any("peer_s" in toy["timing"] for toy in found):
        text += (
            f"**The peer ran {min(short)} epochs only; its times are scaled up to {full_epochs}, "
            "and its significances are not those of a finished training.**\n\n"
        )
    return text + markdown(header, rows)


def significance_table(found: list[Found]) -> str:
    """Significances of the first sample's categories on the test sample."""
    header = ["toy", "categories", "optimum", "gato_coffea", "of optimum", "quoted held-out"]
    header += ["peer", "of optimum", "peer on its training sample", "baselines"]
    rows = []
    for toy in found:
        seed = min(toy["own"])
        for n in toy["counts"]:
            best, own = toy["optimum"][n]["test"], toy["own"][seed][n]
            peer = toy["peer"].get(seed, {}).get(n)
            marks = toy["baselines"][n].items()
            rows.append(
                [
                    toy["toy"],
                    str(n) if own["kept"] == n else f"{n} ({own['kept']} kept)",
                    f"{best:.4f}",
                    f"{own['test']:.4f}",
                    f"{own['test'] / best:.3f}",
                    f"{own['quoted']:.4f} ± {own['spread']:.4f}",
                    *([f"{peer['test']:.4f}", f"{peer['test'] / best:.3f}"] if peer else "--"),
                    f"{peer['training']:.4f}" if peer else "-",
                    "; ".join(f"{name} {z:.4f}" for name, z in marks),
                ]
            )
    first = found[0]
    text = (
        f"Significance on a test sample of {first['test_background']:.3g} background events and a "
        "tenth as many of each signal; for two signals the geometric mean. The optimum is found "
        f"on another sample, of {first['reference_background']:.3g}, and evaluated on the test "
        "sample too, so that its fluctuations cancel in the ratios. Training sample: seed "
        f"{min(first['own'])}"
        + (f", {first['fraction']:g} of its size" if first["fraction"] != 1 else "")
        + ".\n\n"
    )
    notes = [_optimum_note(toy) for toy in found]
    return text + markdown(header, rows) + "\n" + "\n".join(notes)


def _optimum_note(toy: Found) -> str:
    figures = [f"{n}: {o['population']:.4f}" for n, o in toy["optimum"].items()]
    note = f"Optimum of {toy['toy']} on the sample that it is found on: {', '.join(figures)}"
    own = [
        f"{n}: {o['of_test_itself']:.4f}"
        for n, o in toy["optimum"].items()
        if "of_test_itself" in o
    ]
    return (
        note + (f"; optimum of the test sample itself: {', '.join(own)}." if own else ".") + "\n"
    )


def calibration_table(toy: Found) -> str:
    """Means over all training samples."""
    header = ["categories", "test Z / optimum", "lowest", "quoted / test - 1", "spread of it"]
    header += ["quoted interval contains test Z", "mean quoted spread"]
    peers = [s for s in toy["peer"] if toy["peer"][s]]
    if len(peers) > 1:
        header.append(f"peer test Z / optimum ({len(peers)} samples)")
    rows = []
    for n in toy["counts"]:
        figures = [own[n] for own in toy["own"].values()]
        test, quoted, spread = (
            np.array([f[key] for f in figures]) for key in ("test", "quoted", "spread")
        )
        ratio, off = test / toy["optimum"][n]["test"], quoted / test - 1
        row = [
            str(n),
            f"{ratio.mean():.4f} ± {_error(ratio):.4f}",
            f"{ratio.min():.4f}",
            f"{100 * off.mean():+.2f} ± {100 * _error(off):.2f} %",
            f"{100 * off.std(ddof=1):.2f} %",
            f"{100 * np.mean(np.abs(quoted - test) <= spread):.0f} %",
            f"{100 * np.mean(spread / test):.2f} %",
        ]
        if len(peers) > 1:
            z = np.array([toy["peer"][s][n]["test"] for s in peers])
            z /= toy["optimum"][n]["test"]
            row.append(f"{z.mean():.4f} ± {_error(z):.4f}")
        rows.append(row)
    n_samples = len(toy["own"])
    return f"{toy['toy']}, {n_samples} training samples:\n\n" + markdown(header, rows)


def _error(values: Any) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))
