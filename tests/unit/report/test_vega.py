# SPDX-License-Identifier: GPL-2.0-only
"""What draws charts: the same each time, apart from the harness, and data that stays data."""

import json
import re

import pandas as pd
import pytest

from harness.errors import HostError
from harness.report import vega
from harness.report.charts import Measure, every_boot
from harness.report.palette import Mark, Who

BOOTS = pd.DataFrame({"variant": "eager", "block": range(4), "value": [1.0, 1.1, 1.2, 1.3]})
DOTS = every_boot(BOOTS, [Who("eager", 0, Mark(0, 0))], Measure("duration_s", "TCG time"))


@pytest.fixture(scope="module")
def painter():
    with vega.Painter() as painter:
        yield painter


def test_data_of_a_script_cannot_end_it():
    nasty = {"</script><script>": ["<!--", "\u2028\u2029", "]]>", "&lt;", '"', "\x1b"]}
    said = vega.script_data(nasty)
    assert not re.search("[<>&\u2028\u2029\x1b]", said) and json.loads(said) == nasty
    with pytest.raises(ValueError, match="JSON"):
        vega.script_data(float("nan"))


def test_the_same_chart_is_the_same_picture_in_another_process(painter):
    spec = DOTS
    with vega.Painter() as other:
        again = other.draw(spec, "t").result()
    assert again == painter.draw(spec, "t").result()


def test_a_chart_that_cannot_be_drawn_is_an_error_and_the_next_one_is_drawn(painter):
    with pytest.raises(HostError, match="cannot draw"):
        painter.draw({"layer": 7}, "t").result()
    assert "<svg" in painter.draw(DOTS, "t").result()


def test_a_painter_that_dies_is_an_error():
    with vega.Painter() as painter:
        painter._process.kill()
        with pytest.raises(HostError, match="ended while it drew"):
            painter.draw(DOTS, "t").result()
