# SPDX-License-Identifier: GPL-2.0-only
"""``datapackage.json``: what the CSVs beside it are, and their checksums (Frictionless Data)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from harness.columns import TABLES, TITLES

FILE = "datapackage.json"


def resource(name: str, data: bytes) -> dict[str, Any]:
    """One CSV in the words of Frictionless Data."""
    fields = []
    for column in TABLES[name]:
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
        "schema": {"fields": fields, "missingValues": [""]},
    }


def checksums(folder: Path) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of each table, by what describes them; nothing where that is not there."""
    try:
        package = json.loads((folder / FILE).read_bytes())
        resources = package["resources"]
        return {r["name"]: (r["bytes"], r["hash"].removeprefix("sha256:")) for r in resources}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
