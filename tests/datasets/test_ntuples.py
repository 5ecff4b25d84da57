import json

import numpy as np
import pytest
import uproot

from gato_coffea.datasets.ntuples import MANIFEST, complete_ntuples, write_toy_ntuples
from gato_coffea.datasets.toys import toy_arrays
from gato_coffea.errors import InputError, OutputError

BRANCHES = {"p1", "p2", "pB", "mass", "genWeight", "run", "luminosityBlock", "event"}
SMALL = {"n_signal": 40, "n_bkg": 130, "seed": 5}


def read(paths):
    return uproot.concatenate(dict.fromkeys(paths, "Events"), library="np")


def test_files_hold_the_events_of_the_arrays(tmp_path):
    files = write_toy_ntuples("diphoton", tmp_path / "new" / "folder", **SMALL)
    arrays = toy_arrays("diphoton", **SMALL)
    assert {p: len(f) for p, f in files.items()} == dict.fromkeys(arrays, 3)
    for process, columns in arrays.items():
        events = read(files[process])
        assert set(events) == BRANCHES
        np.testing.assert_array_equal(events["p1"], columns["x"][:, 0])
        np.testing.assert_array_equal(events["pB"], columns["x"][:, 2])
        np.testing.assert_array_equal(events["mass"], columns["mass"])
        assert len(np.unique(events["genWeight"])) == 1


def test_one_dimension_has_a_score_and_identities_are_unique(tmp_path):
    files = write_toy_ntuples("1d", tmp_path, **SMALL)
    identities = set()
    for paths in files.values():
        events = read(paths)
        assert "score" in events
        assert "mass" not in events
        columns = (events[name] for name in ("run", "luminosityBlock", "event"))
        identities |= set(zip(*columns, strict=True))
    assert len(identities) == 40 + 130


def test_complete_ntuples_are_used_again_and_others_are_not(tmp_path):
    files = write_toy_ntuples("1d", tmp_path, **SMALL)
    before = files["bkg1"][0].stat().st_mtime_ns
    assert write_toy_ntuples("1d", tmp_path, **SMALL) == files
    assert files["bkg1"][0].stat().st_mtime_ns == before
    write_toy_ntuples("1d", tmp_path, **SMALL | {"seed": 6})
    assert files["bkg1"][0].stat().st_mtime_ns > before


def test_damage_is_repaired(tmp_path):
    files = write_toy_ntuples("1d", tmp_path, **SMALL)
    files["bkg2"][1].write_bytes(files["bkg2"][1].read_bytes()[:-10])
    assert complete_ntuples(tmp_path) is None
    write_toy_ntuples("1d", tmp_path, **SMALL)
    assert complete_ntuples(tmp_path) == files
    (tmp_path / MANIFEST).write_text("[")
    assert complete_ntuples(tmp_path) is None


def test_more_files_than_events(tmp_path):
    files = write_toy_ntuples("1d", tmp_path, n_signal=2, n_bkg=20, files_per_process=4)
    assert len(read(files["signal"])["score"]) == 2


def test_what_cannot_be(tmp_path):
    with pytest.raises(InputError, match=r"no such kind \(got '2d'; allowed 1d, three-class"):
        write_toy_ntuples("2d", tmp_path)
    with pytest.raises(InputError, match="files_per_process must be positive"):
        write_toy_ntuples("1d", tmp_path, files_per_process=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_toy_ntuples("1d", tmp_path / "file" / "inside", **SMALL)


def test_files_of_others_are_not_replaced(tmp_path):
    first = write_toy_ntuples("1d", tmp_path / "toy", **SMALL)
    write_toy_ntuples("1d", tmp_path / "toy", **SMALL | {"seed": 6})  # ours may be
    name = next(iter(first.values()))[0].name
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match=rf"{name} was not written as a toy and would be rep"):
        write_toy_ntuples("1d", tmp_path, **SMALL)
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_toy_that_was_killed_is_made_again(tmp_path):
    files = write_toy_ntuples("1d", tmp_path, **SMALL)
    content = json.loads((tmp_path / MANIFEST).read_text())
    begun = {p: dict.fromkeys(names, -1) for p, names in content["files"].items()}
    (tmp_path / MANIFEST).write_text(json.dumps(content | {"files": begun}))
    next(iter(files.values()))[0].unlink()
    assert complete_ntuples(tmp_path) is None
    assert write_toy_ntuples("1d", tmp_path, **SMALL) == files
