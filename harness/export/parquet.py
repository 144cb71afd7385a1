# SPDX-License-Identifier: GPL-2.0-only
"""Apache Parquet: one long table, a row for each figure of each boot, and one for how it ended.

Every column says in the metadata of its field what it means; those of the table name experiment
and lock.
"""

from __future__ import annotations

import io
from typing import Any

import pandas as pd

from harness.dataset import CELL, Column, Dataset, observe
from harness.dataset.columns import TABLES
from harness.errors import UserError
from harness.model import GOOD

COLUMNS = (
    Column("run_id", "string", "identity of the boot"),
    Column("variant", "string", "kernel under test"),
    Column("machine", "string", "emulated machine"),
    Column("clock", "string", "time: seconds under emulation; work: guest instructions"),
    Column("block", "integer", "block of the randomised design"),
    Column("outcome", "string", "how the boot ended"),
    Column("kind", "string", "phase, probe, host, or boots: whether it came to its end"),
    Column("name", "string", "of the phase, pass or fact"),
    Column("node", "string", "max: the slowest node; span: from the first start to the last end"),
    Column("source", "string", "mark, printk or host"),
    Column("metric", "string", "a column of the dataset"),
    Column("unit", "string", "of the value, as in datapackage.json; empty where it is a count"),
    Column("value", "number", "in that unit"),
)  # fmt: skip

UNITS = {column.name: column.unit or "" for columns in TABLES.values() for column in columns}


def export(dataset: Dataset) -> bytes:
    """The table as a Parquet file; raises `UserError` without pyarrow."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise UserError(
            "pyarrow is not installed", remedy="pip install 'pageinit[parquet]'"
        ) from None
    table = long(dataset)
    types = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64()}
    fields = [
        pa.field(column.name, types[column.type], metadata={"description": column.description})
        for column in COLUMNS
    ]
    lock = dataset.lock
    about = {"experiment": lock.experiment.name, "lock": lock.hash} if lock else {}
    schema = pa.schema(fields, metadata=about)
    columns = [pa.array(table[field.name], field.type, from_pandas=True) for field in schema]
    out = io.BytesIO()
    parquet.write_table(pa.Table.from_arrays(columns, schema=schema), out)
    return out.getvalue()


def long(dataset: Dataset) -> pd.DataFrame:
    """The rows, in `COLUMNS`; failed boots are there with `good` 0 and no figure."""
    runs = dataset.runs[~dataset.runs["warmup"]]
    about = runs[[*CELL, "block", "run_id", "outcome"]]
    seen = observe(dataset.runs, dataset.phases, dataset.probes)
    seen = seen.merge(about.drop_duplicates([*CELL, "block"]), on=[*CELL, "block"], how="left")
    good = about.assign(kind="boots", name="boots", node="", source="", metric="good")
    good["value"] = about["outcome"].isin(GOOD).astype(float)
    whole = pd.concat([good, seen], ignore_index=True)
    whole["unit"] = whole["metric"].map(lambda name: UNITS.get(name, ""))
    names: Any = [column.name for column in COLUMNS]
    found: pd.DataFrame = whole[names].sort_values(names[:-2], kind="stable", ignore_index=True)
    return found
