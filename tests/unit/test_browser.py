# SPDX-License-Identifier: GPL-2.0-only
"""The report in a real browser: headless Chromium, where there is one."""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.compare import explain
from harness.dataset import dataset
from harness.report import flame_page, render
from harness.results.folder import Results
from harness.units import amount
from tests.support.profiles import DEFERRED, EAGER, profile

QUICK = Path(__file__).parents[2] / "results" / "reference" / "quick"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt install chromium")

AROUND = (Path(__file__).parents[1] / "support/around.html").read_text()
AROUND_FLAME = (Path(__file__).parents[1] / "support/flame.html").read_text()


@pytest.fixture(scope="module")
def page():
    return render.render(Results(QUICK), dataset.load(QUICK))[0]


def browse(tmp_path: Path, page: str, *words: str) -> tuple[str, str]:
    """What Chromium prints, and the messages of the page's console."""
    file = tmp_path / "page.html"
    file.write_text(page, encoding="utf-8")
    argv = [CHROMIUM, "--headless", "--disable-gpu", "--enable-logging=stderr", *words]
    argv += [f"--user-data-dir={tmp_path / 'profile'}", file.as_uri()]
    if os.geteuid() == 0:
        argv.insert(1, "--no-sandbox")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    return done.stdout, "\n".join(re.findall(r".*CONSOLE.*", done.stderr))


def looked(tmp_path: Path, page: str, width: int, *words: str, script: bool = True) -> dict:
    around = AROUND.replace("WIDTH", str(width)).replace("PAGE", html.escape(page))
    around = around.replace("SANDBOX", "" if script else 'sandbox="allow-same-origin"')
    said, messages = browse(tmp_path, around, "--virtual-time-budget=600000", "--dump-dom", *words)
    assert script is False or not messages
    (text,) = re.findall(r'<pre id="said">(.*?)</pre>', said, re.S)
    return json.loads(html.unescape(text))


def seconds(text: str) -> float:
    value, unit = text.split()[:2]
    return float(value) * {"µs": 1e-6, "ms": 1e-3, "s": 1.0}[unit]


@pytest.mark.parametrize("width", [390, 1250])
def test_the_page_works(page, tmp_path, width):
    found = looked(tmp_path, page, width)
    assert found["overflow"] == 0 and not found["inside"]
    # Sorting knows µs from ms and s; what was not observed comes last, or first.
    known = [text for text in found["up"] if text != "-"]
    assert [seconds(text) for text in known] == sorted(map(seconds, known))
    assert len({text.split()[1] for text in known}) == 3 and found["up"][-1] == "-"
    fallen = [seconds(text) for text in found["down"] if text != "-"]
    assert fallen == sorted(fallen, reverse=True) and found["down"][0] == "-"
    assert found["sorted"] == "descending"
    assert sorted(found["up"]) == sorted(found["before_sorting"])


@pytest.mark.parametrize("width", [390, 1250])
def test_charts_come_alive_under_the_policy_of_the_page(page, tmp_path, width):
    found = looked(tmp_path, page, width)
    # Only those that are looked at are drawn; no still picture is left beside them.
    assert found["before"] < found["drawn"] == found["figures"] == 18
    assert found["stills"] == 0 and not found["fetched"]
    assert not found["overlaps"] and not found["small"]
    # A pointer is told the exact value, with its unit.
    assert found["tooltip"] == found["told"]
    assert re.match(
        r"deferred, .*: .*[\d,.]+ (s|bytes\)|instructions|ns)|deferred, .*: x", found["told"]
    )
    # The filter hides a variant in tables and charts, and nothing else.
    assert found["marks"] > 20 and found["rows"] > 10 and found["hidden"] == 0 and found["legend"]
    assert found["kept"] >= found["others"] > 20 and found["again"] >= found["marks"]


@pytest.mark.parametrize("width", [390, 1250])
def test_without_a_script_the_still_pictures_stand_there(page, tmp_path, width):
    found = looked(tmp_path, page, width, script=False)
    assert found["drawn"] == 0 and found["stills"] == found["figures"] == 18
    assert found["overflow"] == 0 and not found["inside"] and not found["overlaps"]
    assert not found["small"] and found["hidden"] == 0 and found["legend"]


def test_a_message_of_the_console_is_found(page, tmp_path):
    foreign = page.replace("<main>", "<main><script>alert(1)</script>", 1)
    _, messages = browse(tmp_path, foreign, "--virtual-time-budget=2000", "--dump-dom")
    assert "Content Security Policy" in messages


def test_it_is_dark_where_the_reader_wants_it_dark(page, tmp_path):
    light = looked(tmp_path, page, 1250, "--blink-settings=preferredColorScheme=1")
    dark = looked(tmp_path, page, 1250, "--blink-settings=preferredColorScheme=0")
    assert light["background"] == "rgb(255, 255, 255)"
    assert dark["background"] == "rgb(20, 23, 26)"


def printed(tmp_path: Path, page: str) -> int:
    """How many pages it is on paper."""
    out = tmp_path / "out.pdf"
    browse(tmp_path, page, f"--print-to-pdf={out}", "--no-pdf-header-footer")
    data = out.read_bytes()
    assert data.startswith(b"%PDF")
    return len(re.findall(rb"/Type\s*/Page\b", data))


def test_it_prints_with_all_that_is_folded(page, tmp_path):
    whole = printed(tmp_path, page.replace("<details>", "<details open>"))
    bare = page.replace("details::details-content", "details::none")
    bare = bare.replace('"beforeprint"', '"none"')  # which breaks the hash: no script runs
    assert printed(tmp_path, page) == whole > printed(tmp_path, bare) >= 4
    assert whole <= 60


@pytest.mark.parametrize("width", [390, 1250])
def test_a_flame_graph_is_pressed_and_searched(tmp_path, width):
    before = profile([*EAGER, (1, "only_before", 50, 1)])
    after = profile(DEFERRED)
    text = flame_page("t", ("new", "old"), [after, before], explain(before, after))
    around = AROUND_FLAME.replace("WIDTH", str(width)).replace("PAGE", html.escape(text))
    said, messages = browse(tmp_path, around, "--virtual-time-budget=60000", "--dump-dom")
    (found,) = re.findall(r'<pre id="said">(.*?)</pre>', said, re.S)
    found = json.loads(html.unescape(found))
    assert not messages and not found["fetched"] and found["overflow"] <= 0
    assert found["part"] == pytest.approx(100 / after.total, abs=0.005)
    assert found["about"] == f"new: {amount(after.total, 'instructions')} instructions"
    assert "start_kernel > setup_arch > memmap_init_range" in found["hover"]
    assert "difference -600" in found["hover"]
    # Who called it stays above it, and what else there is goes.
    assert found["pressed"] == ["start_kernel", "setup_arch", "memmap_init_range"]
    assert found["wide"] == pytest.approx(1, abs=0.01) and found["again"] == found["whole"]
    assert found["matched"] == ["memmap_init_range"]
    assert found["sum"].startswith("100 (")
    assert not found["gone"] and found["there"]
