"""Functions of ``analysis.py``: what is loaded with them, and what is left alone."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from gato_coffea.config import function_name, load_functions
from gato_coffea.config.functions import importable
from gato_coffea.errors import ConfigError

LATER = """
def hard(events):
    import helper
    return events > helper.cut


def pileup_down(events):
    return helped(events)


def helped(events):
    from helper import cut
    return events - cut


def prepare(directory):
    import never_there_for_events
"""


def test_a_source_is_a_branch_or_a_function() -> None:
    assert function_name("py:a.b") == "a.b"
    assert function_name("py") is None
    assert function_name("") is None


def test_modules_of_a_folder_are_forgotten(tmp_path: Path) -> None:
    (tmp_path / "only_here.py").write_text("x = 1")
    path = list(sys.path)
    with importable(tmp_path):
        import only_here  # type: ignore[import-not-found]

        assert only_here.x == 1
    assert "only_here" not in sys.modules
    assert sys.path == path
    with pytest.raises(ModuleNotFoundError):
        import only_here


def test_plain_functions_stay_as_they_are(make_analysis: Any) -> None:
    found = load_functions(make_analysis(n=1))
    assert type(found["hard"]).__name__ == "function"


def test_functions_that_import_later_take_their_modules_along(
    make_analysis: Any, tmp_path: Path
) -> None:
    analysis = make_analysis(functions=LATER, n=1)
    (tmp_path / "helper.py").write_text("cut = 3")
    (tmp_path / "never_there_for_events.py").write_text("raise RuntimeError")
    found = load_functions(analysis)
    (tmp_path / "helper.py").unlink()  # as on a worker, where the folder is not
    travelled = cloudpickle.loads(cloudpickle.dumps(found["hard"]))
    for function in (found["hard"], travelled):
        assert function(4)
        assert not function(3)
        assert function.__name__ == "hard"
    assert found["pileup_down"](4) == 1
    assert "helper" not in sys.modules


def test_two_analyses_with_modules_of_one_name_in_threads(
    make_analysis: Any, tmp_path: Path
) -> None:
    both = []
    for cut in (1, 5):
        analysis = make_analysis(functions=LATER, n=1)
        (tmp_path / "helper.py").write_text(f"cut = {cut}")
        both.append(load_functions(analysis)["pileup_down"])
    wrong = []

    def work(function: Any, expected: int) -> None:
        wrong.extend(x for x in (function(6) for _ in range(200)) if x != expected)

    threads = [threading.Thread(target=work, args=a) for a in zip(both, (5, 1), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_later_import_that_fails_is_told_before_any_event_is_read(
    make_analysis: Any, tmp_path: Path
) -> None:
    analysis = make_analysis(functions=LATER, n=1)
    (tmp_path / "helper.py").write_text("import nothing_of_this_name")
    with pytest.raises(ConfigError, match=r"analysis\.py: does not import \(ModuleNotFoundError"):
        load_functions(analysis)


def test_a_module_that_is_imported_at_the_top_may_import_later(
    make_analysis: Any, tmp_path: Path
) -> None:
    functions = LATER.replace("    import helper\n", "").replace(
        "\ndef hard", "import helper\n\ndef hard", 1
    )
    analysis = make_analysis(functions=functions.replace("helper.cut", "helper.cut()"), n=1)
    (tmp_path / "helper.py").write_text("def cut():\n    from other import cut\n    return cut\n")
    (tmp_path / "other.py").write_text("cut = 3\n")
    hard = cloudpickle.loads(cloudpickle.dumps(load_functions(analysis)["hard"]))
    assert hard(4)
    assert not hard(3)
