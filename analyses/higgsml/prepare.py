"""CSV of the challenge -> ROOT ntuples with a cross-fitted classifier score."""

from pathlib import Path

import numpy as np
import pandas as pd
import uproot
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from gato_coffea.datasets import data_folder
from gato_coffea.errors import InputError
from gato_coffea.events.samples import event_fold
from gato_coffea.files import replacing

FILES = {"signal": "train_sml_sig.csv", "background": "train_sml_bg.csv"}
YIELDS = {"signal": 691.99, "background": 410_999.85}
"""Expected events: the files are a subset, and their weights are scaled up to these."""

MISSING = -999.0
CROSS_FITS = 5


def prepare(directory: Path) -> None:
    """Write ``signal.root`` and ``background.root`` with score, weight and event number."""
    tables = {name: _read(name) for name in FILES}
    both = pd.concat(tables.values(), ignore_index=True)
    is_signal = np.repeat([True, False], [len(t) for t in tables.values()])
    score = cross_fitted_score(both, is_signal)
    for name, rows in (("signal", is_signal), ("background", ~is_signal)):
        with replacing(directory / f"{name}.root") as aside, uproot.recreate(aside) as file:
            branches = {
                "event": both["EventId"].to_numpy(np.int64)[rows],
                "weight": both["weight"].to_numpy(np.float64)[rows],
                "score": score[rows],
                "DER_mass_MMC": both["DER_mass_MMC"].to_numpy(np.float32)[rows],
            }
            file.mktree("Events", {key: value.dtype for key, value in branches.items()})
            file["Events"].extend(branches)


def _read(name: str) -> pd.DataFrame:
    path = data_folder() / "atlas_higgsml_2014" / FILES[name]
    if not path.is_file():
        raise InputError(f"{path}: no such file; set GATO_COFFEA_DATA to the folder of real data")
    table = pd.read_csv(path)
    return table.assign(weight=table["Weight"] * YIELDS[name] / table["Weight"].sum())


def cross_fitted_score(table: pd.DataFrame, is_signal: np.ndarray) -> np.ndarray:
    """Score of every event by models that did not see it.

    Gradient boosting, fitted with signal and background of equal total weight; the part that an
    event is scored in follows from its number alone, and not from the folds of the optimiser.
    """
    return cross_fitted_scores(table, is_signal, {})["nominal"]


def cross_fitted_scores(
    table: pd.DataFrame, is_signal: np.ndarray, variations: dict[str, pd.DataFrame]
) -> dict[str, np.ndarray]:
    """The score, and that of the same events with other features, by the same models."""
    names = [c for c in table.columns if c.startswith(("DER_", "PRI_"))]
    features = {
        key: other[names].replace(MISSING, np.nan).to_numpy()
        for key, other in {"nominal": table, **variations}.items()
    }
    weight = table["weight"].to_numpy(copy=True)
    for label in (True, False):
        weight[is_signal == label] *= 0.5 * len(table) / weight[is_signal == label].sum()
    salt = np.full(len(table), 2014)
    part = event_fold([salt, table["EventId"].to_numpy()], n_folds=CROSS_FITS)
    scores = {key: np.zeros(len(table)) for key in features}
    with threadpool_limits(limits=1, user_api="openmp"):  # small trees: threads only wait
        for k in range(CROSS_FITS):
            seen, hidden = part != k, part == k
            model = HistGradientBoostingClassifier(
                max_iter=200,
                learning_rate=0.04,
                max_leaf_nodes=6,
                min_samples_leaf=50,
                l2_regularization=5.0,
                max_features=0.5,
                random_state=k,
            )
            model.fit(features["nominal"][seen], is_signal[seen], sample_weight=weight[seen])
            for key, x in features.items():
                scores[key][hidden] = model.predict_proba(x[hidden])[:, 1]
    return scores
