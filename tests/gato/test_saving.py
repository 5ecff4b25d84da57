import json

import pytest

from gato_coffea.errors import InputError
from gato_coffea.gato.saving import FILE, damaged, read_model, write_model


def test_what_is_written_is_read(tmp_path):
    folder = tmp_path / "new" / "one"
    content = {"kind": "mixture", "means": [[0.1, 1e-300]], "note": None}
    write_model(folder, content)
    assert read_model(folder, {"kind": "mixture"}) == content
    assert [path.name for path in folder.iterdir()] == [FILE]
    write_model(folder, content | {"means": []})
    assert read_model(folder, {})["means"] == []


def test_what_is_no_number_is_not_written(tmp_path):
    write_model(tmp_path, {"mean": 1.0})
    with pytest.raises(ValueError, match="Out of range float values"):
        write_model(tmp_path, {"mean": float("nan")})
    assert read_model(tmp_path, {}) == {"mean": 1.0}


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model\.json: no saved model"):
        read_model(tmp_path, {})


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"mean": NaN}', '{"mean": -Infinity}'])
def test_a_damaged_file(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(InputError, match=r"model\.json: is damaged \(") as caught:
        read_model(tmp_path, {})
    assert "\n" not in str(caught.value)


def test_another_make(tmp_path):
    (tmp_path / FILE).write_text(json.dumps({"dim": 2}))
    with pytest.raises(InputError, match=r"dim differs from the model's \(got 2; need 3\)"):
        read_model(tmp_path, {"dim": 3})
    with pytest.raises(InputError, match=r"kind differs from the model's \(got None; need m\)"):
        read_model(tmp_path, {"kind": "m"})


def test_the_error_names_the_file():
    assert (
        str(damaged("a/b", KeyError("means"))) == "a/b/model.json: is damaged (KeyError: 'means')"
    )
