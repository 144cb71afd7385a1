# SPDX-License-Identifier: GPL-2.0-only
"""The long table as Apache Parquet, read back by pyarrow."""

import io
import math
import sys

import pytest

from harness.errors import UserError
from harness.export.figures import boots
from harness.export.parquet import export


def test_parquet_has_a_row_for_each_figure_of_each_boot(broken):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(io.BytesIO(export(broken)))
    assert table.schema.metadata[b"lock"].decode() == broken.lock.hash
    assert all(field.metadata[b"description"] for field in table.schema)
    found = table.to_pandas()
    good = found[found["kind"] == "boots"]
    assert len(good) == sum(cell.count for cell in boots(broken))
    assert (good["value"] == 0).sum() == 1
    assert set(found[found["outcome"] == "panic"]["kind"]) == {"boots"}
    init = found[(found["name"] == "memmap_init") & (found["metric"] == "duration_s")]
    assert set(init["unit"]) == {"s"}
    assert all(map(math.isfinite, init["value"]))


def test_without_pyarrow_it_says_what_to_install(quick, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match="pyarrow is not installed") as error:
        export(quick)
    assert "pageinit[parquet]" in str(error.value)
