"""The version is said once."""

from importlib.metadata import version

import gato_coffea
from gato_coffea.version import __version__


def test_it_is_that_of_the_installed_package() -> None:
    assert version("gato-coffea") == __version__ == gato_coffea.__version__
