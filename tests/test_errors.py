import pickle
import sys

import pytest

from gato_coffea.errors import GatoError, NotInstalledError, install_hint, installed, require


def test_what_is_missing_is_one_line_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pyhf", None)
    assert not installed("pyhf")
    assert install_hint("pyhf") == 'needs pyhf; install it with pip install "gato-coffea[exports]"'
    told = 'exports needs pyhf; install it with pip install "gato-coffea[exports]" (the rest not)'
    with pytest.raises(NotInstalledError) as caught:
        require("pyhf", place="exports", otherwise="the rest not")
    assert str(caught.value) == told
    assert isinstance(caught.value, GatoError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == told


def test_what_is_installed_may_be_asked_for() -> None:
    require("tensorflow", place="method: gato")
    assert installed("distributed")
