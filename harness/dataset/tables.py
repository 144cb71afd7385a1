# SPDX-License-Identifier: GPL-2.0-only
"""A table with the columns of `columns`, and the same as CSV."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from harness.dataset.columns import DTYPES, KEYS, LATER, RUN_ID, TABLES, TITLES, Column
from harness.dataset.rows import Row
from harness.files import read_plain
from harness.foreign import MAX_JSON, read_json


def frame(rows: Iterable[Row], columns: tuple[Column, ...]) -> pd.DataFrame:
    """Rows as a table with exactly these columns and types; what a row lacks is not observed."""
    rows = list(rows)
    return pd.DataFrame(
        {c.name: pd.array([row.get(c.name) for row in rows], dtype=DTYPES[c.type]) for c in columns}
    )


ROWS = 10_000
"""That are objects of Python at once, on the way to a CSV: as such they take ten times the room."""


def to_csv(table: pd.DataFrame) -> bytes:
    """A table as CSV: LF line ends, shortest float that reads back equal, empty = not observed.

    What came later is left out where nothing was observed: old evidence gives the same bytes.
    """
    table = table[[name for name in table if name not in LATER or table[name].notna().any()]]
    parts = (table.iloc[begin : begin + ROWS] for begin in range(0, len(table), ROWS))
    return b"".join([_lines([table.columns]), *map(_part, parts)])


def _part(table: pd.DataFrame) -> bytes:
    return _lines(zip(*(_texts(table[name]) for name in table.columns), strict=True))


def _lines(rows: Iterable[Iterable[object]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


Keep = Callable[[pd.DataFrame], "pd.Series[bool]"]
"""Says which rows of a table are wanted."""


def from_csv(data: bytes, columns: tuple[Column, ...], keep: Keep | None = None) -> pd.DataFrame:
    """A table of such a CSV; columns that are not there are empty.

    With `keep` only some of its rows are ever there at once, beside those that are kept. Raises
    `ValueError` where it is none, or ends in the middle of a line.
    """
    if not data.endswith(b"\n"):
        raise ValueError("ends in the middle of a line")
    words: dict[str, Any] = {
        "dtype": {c.name: DTYPES[c.type] for c in columns},
        "keep_default_na": False,
        "na_values": {c.name: [""] for c in columns},
        "true_values": ["true"],
        "false_values": ["false"],
    }
    if keep and data.count(b"\n") > ROWS:
        read = pd.read_csv(io.BytesIO(data), chunksize=ROWS, **words)
        parts = (complete(part, columns) for part in read)
        table = pd.concat([part[keep(part)] for part in parts], ignore_index=True)
    else:
        table = complete(pd.read_csv(io.BytesIO(data), **words), columns)
        table = table[keep(table)].reset_index(drop=True) if keep else table
    for name in table.columns[table.dtypes == "string"]:
        quoted = table[name].str.startswith("'").fillna(False)
        if quoted.any():
            table.loc[quoted, name] = table.loc[quoted, name].str.replace(_QUOTED, "", regex=True)
    return table


_FORMULA = re.compile(r"^(?='*[=+@-])")
_QUOTED = re.compile(r"^'(?='*[=+@-])")
"""What spreadsheets would calculate; a quote before it says that it is text, and is taken off when
the table is read."""


def _texts(column: pd.Series[Any]) -> list[object]:
    if str(column.dtype) == "boolean":
        return ["" if value is pd.NA else str(value).lower() for value in column.tolist()]
    values: list[object] = column.astype(object).where(column.notna(), None).tolist()
    if str(column.dtype) == "string":
        return [_FORMULA.sub("'", v) if isinstance(v, str) else v for v in values]
    return values


def complete(table: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """The columns of today in their order, then those of a later version."""
    for column in columns:
        if column.name not in table:
            table[column.name] = pd.array([None] * len(table), dtype=DTYPES[column.type])
    names = [column.name for column in columns]
    return table[[*names, *(name for name in table if name not in names)]]


FILE = "datapackage.json"


def resource(name: str, data: bytes) -> dict[str, Any]:
    """One CSV in the words of Frictionless Data."""
    fields, there = [], data[: data.index(b"\n")].decode().split(",")
    for column in (c for c in TABLES[name] if c.name in there):
        entry = {"name": column.name, "type": column.type, "description": column.description}
        fields.append(entry | ({"unit": column.unit} if column.unit else {}))
    return {
        "name": name,
        "title": TITLES[name],
        "path": f"{name}.csv",
        "profile": "tabular-data-resource",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "dialect": {"lineTerminator": "\n", "delimiter": ",", "quoteChar": '"'},
        "bytes": len(data),
        "hash": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "schema": {"fields": fields, "missingValues": [""]} | _keys(name),
    }


def _keys(name: str) -> dict[str, Any]:
    """What names a row of a table, and which run it belongs to."""
    found: dict[str, Any] = {"primaryKey": list(KEYS[name])} if name in KEYS else {}
    if name in RUN_ID:
        run = {"resource": "runs", "fields": "run_id"}
        found["foreignKeys"] = [{"fields": "run_id", "reference": run}]
    return found


def checksums(folder: Path) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of each table, by what describes them; nothing where that is not there."""
    try:
        package = read_json(read_plain(folder / FILE, MAX_JSON))
        resources = package["resources"]
        return {r["name"]: (r["bytes"], r["hash"].removeprefix("sha256:")) for r in resources}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
