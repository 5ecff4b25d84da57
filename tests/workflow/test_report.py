"""The report says what was found, and needs no other file."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gato_coffea.categories import EdgeCategories
from gato_coffea.config import Analysis, parse_analysis
from gato_coffea.errors import InputError
from gato_coffea.events.samples import Feature
from gato_coffea.exports import Headline
from gato_coffea.optimisation.result import Result, Significance, Yardstick, Yields
from gato_coffea.optimisation.result_tables import category_table, significance_table
from gato_coffea.processing.cutflow import cutflow_table
from gato_coffea.rendering.drawn import DrawnPlot
from gato_coffea.sidebands import BackgroundEstimate, CategoryFit, fit_sidebands
from gato_coffea.sidebands.tables import sideband_table
from gato_coffea.workflow.report import (
    render_report,
)

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
ENDS = ("pdf", "png", "csv")
CUTFLOW = {
    "ggH": {"all": {"events": 1000, "weighted": 12.5}},
    "qcd": {
        "all": {"events": 200_000, "weighted": 54321.0},
        "selection": {"events": 100, "weighted": 0.5},
    },
}


def an_analysis(title: str) -> Analysis:
    datasets: dict[str, Any] = {
        name: {"files": ["x.root"], "process": name, "already_normalised": True}
        for name in ("ggH", "qcd")
    }
    mass = {"source": "m", "unit": "GeV", "range_gev": [100, 180], "window_gev": [120, 130]}
    content = {
        "name": "small",
        "title": title,
        "datasets": datasets,
        "discriminants": [{"name": "score", "range": [0, 1]}],
        "mass": mass,
        "optimise": {"signals": ["ggH"]},
    }
    return parse_analysis(content, directory=Path())


def a_result(asked: int, z: float, *notes: str) -> Result:
    def significance(value: float, spread: float | None = None) -> Significance:
        return Significance(value, {"ggH": value}, spread)

    yields = Yields(
        processes=("ggH", "qcd"),
        signals=("ggH",),
        backgrounds=("qcd",),
        sumw=np.array([[1.0, 3.0], [2000.0, 0.0]]),
        sumw2=np.array([[0.1, 0.1], [400.0, 0.0]]),
        count=np.ones((2, 2)),
        factor=np.ones(2),
    )
    categories = EdgeCategories(
        features=(Feature("score", 0.0, 1.0),),
        label=np.array([0, 1]),
        edges=(np.array([0.0, 0.5, 1.0]),),
    )
    yardsticks = {
        "exact": Yardstick(significance(z + 0.1), significance(z + 0.4)),
        "lloyd": Yardstick(None, significance(z + 0.3)),
    }
    return Result(
        asked,
        categories,
        significance(z, 0.04),
        significance(z + 0.2),
        yields,
        yardsticks,
        notes=notes,
    )


@pytest.fixture
def page(tmp_path: Path) -> str:
    for name in ("significance.png", "boundaries_3.gif", "own_plot.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    (tmp_path / "significance.pdf").write_bytes(b"%PDF")
    edges = np.linspace(100, 180, 41)
    sumw = 200 * np.exp(-(edges[:-1] - 100) / 30)
    bands, window = [(100.0, 120.0), (130.0, 180.0)], (120.0, 130.0)
    fit = fit_sidebands(sumw, sumw, edges, sidebands=bands, window=window)
    return render_report(
        analysis=an_analysis("Search for <H> & more"),
        results={2: a_result(2, 1.5), 3: a_result(3, 1.6, "category 2 was merged into 1")},
        use=3,
        cutflow=CUTFLOW,
        fits=[
            CategoryFit(
                category=0,
                source="background",
                estimate=BackgroundEstimate(fit=fit),
                signals={"ggH": 2.0},
            )
        ],
        plots=[
            DrawnPlot("Significance", "Z", tuple(tmp_path / f"significance.{e}" for e in ENDS)),
            DrawnPlot("Categories", "moving <b>", (tmp_path / "boundaries_3.gif",)),
            DrawnPlot("Own", "own", (tmp_path / "own_plot.png",)),
            DrawnPlot("Own", "no image", (tmp_path / "significance.pdf",)),
        ],
        provenance={
            "versions": {"numpy": "2.4.0"},
            "seed": 7,
            "inputs": {"a.root": {"size": 3}},
            "stages": {},
        },
        files={"counting card": "exports/counting/datacard.txt"},
    )


@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
@pytest.mark.parametrize("width", [400, 800, 1300])
def test_a_browser_shows_it_sorts_and_enlarges(page: str, tmp_path: Path, width: int) -> None:
    path = tmp_path / "report.html"
    # The page is looked at in a frame of its own: a window has a smallest width.
    told = (
        "<iframe id=f srcdoc='' style='width:{w}px;height:900px'></iframe><script>"
        "const errors = []; const f = document.getElementById('f');"
        "f.onload = () => {{ const w = f.contentWindow, d = w.document;"
        "w.onerror = (m) => errors.push(m);"
        "const t = d.querySelector('table.sortable'), h = t.tHead.rows[0].cells;"
        "const first = () => t.tBodies[0].rows[0].cells[0].textContent;"
        "const order = []; for (const i of [0, 0]) {{ h[i].click(); order.push(first()); }}"
        "d.querySelector('figure img').click();"
        "document.title = JSON.stringify({{scroll: d.documentElement.scrollWidth, order,"
        "open: d.querySelector('dialog').open, errors}}); }};"
        "f.srcdoc = {page};</script>"
    )
    text = json.dumps(page).replace("</", "<\\/")
    path.write_text(told.format(w=width, page=text))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=3000", path.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None
    found = json.loads(html.unescape(title.group(1)))
    assert found["scroll"] <= width
    assert found["order"] == ["2", "3 *"]
    assert found["open"]
    assert found["errors"] == []


class Tags(HTMLParser):
    """Opened and closed tags, and everything the page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)
        self.loads += [str(v) for k, v in attrs if k in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(page: str, tmp_path: Path) -> None:
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    images = [source for source in tags.loads if source.startswith("data:image/")]
    assert len(images) == 3
    others = [s for s in tags.loads if not s.startswith("data:image/")]
    links = [s for s in others if not s.startswith("#") and s != "data:,"]
    folder = tmp_path.name
    assert links == [
        "exports/counting/datacard.txt",
        f"{folder}/significance.pdf",
        f"{folder}/significance.csv",
    ]
    assert "moving &lt;b&gt;" in page
    for anchor in set(others) - set(links) - {"data:,"}:
        assert f'id="{anchor[1:]}"' in page
    assert "http" not in re.sub(r"base64,[^\"]*", "", page)


def test_the_page_quotes_held_out_first_and_escapes_text(page: str) -> None:
    assert "Search for &lt;H&gt; &amp; more" in page
    assert page.index("1.600 ± 0.040") < page.index("1.800")
    assert "category 2 was merged into 1" in page
    assert "120–130 GeV are blinded" in page
    assert "numpy" in page
    assert "Seed 7" in page


def test_the_figure_with_the_mass_fits_stands_first() -> None:
    analysis, before = an_analysis("x"), a_result(2, 1.5)
    headline = Headline(
        held_out=Significance(1.2, {"ggH": 1.2}, 0.1, 1.45),
        training=Significance(1.3, {"ggH": 1.3}, None, 1.6),
        before=before.held_out,
        before_training=before.training,
    )
    page = render_report(analysis=analysis, results={2: before}, use=2, fitted=headline)
    cards = re.findall(r'<span class="soft">(.*?)</span><b>(.*?)</b>', page)
    assert cards[0] == ("Z held-out with the mass fits and their errors", "1.20 ± 0.10")
    assert cards[1] == ("Z held-out, statistics only", "1.45")
    assert cards[2] == ("Z on the training events", "1.30")
    assert cards[3][0] == "Z held-out, before the mass fits"
    assert cards[3][1].startswith("1.500")
    assert "Expected significance Z before the mass fits" in page


def test_tables() -> None:
    results = {2: a_result(2, 1.5), 3: a_result(3, 1.6)}
    table = significance_table(results, used=3)
    assert table.header == (
        *("requested", "after merging", "Z held-out", "(training)", "exact", "lloyd"),
    )
    assert table.rows[1] == (
        *("3 *", "2", "1.600 ± 0.040", "(1.800)", "1.700 (2.000)", "- (1.900)"),
    )
    assert table.marked == 1
    rows = category_table(results[3]).rows
    assert rows[0] == ("0", "1", "2000 ± 20", "0.0005", "10000")
    assert rows[1] == ("1", "3", "0", "-", "0")
    assert rows[2][0] == "all"
    assert cutflow_table(CUTFLOW).rows == [
        ("ggH", "1000 (12.5)", "-"),
        ("qcd", "200000 (54321)", "100 (0.5)"),
    ]
    assert sideband_table([]).rows == []


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    analysis = an_analysis("small")
    with pytest.raises(InputError, match=r"no result for 4 categories \(got \[2\]\)"):
        render_report(analysis=analysis, results={2: a_result(2, 1.0)}, use=4)
    with pytest.raises(InputError, match="cannot read plot"):
        render_report(
            analysis=analysis,
            results={2: a_result(2, 1.0)},
            use=2,
            plots=[DrawnPlot("Mass", "none", (tmp_path / "none.png",))],
        )
    assert "Cut flow" not in render_report(analysis=analysis, results={2: a_result(2, 1.0)}, use=2)
