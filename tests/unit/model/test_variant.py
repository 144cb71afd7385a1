# SPDX-License-Identifier: GPL-2.0-only
"""A bad variant is one error."""

from pathlib import Path

import pytest

from harness.errors import UserError
from harness.model.schema import load_named
from harness.model.variant import Variant


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("description: d\nfragments: [base]\nboot: ['a b']\n", "is not one kernel parameter"),
        ("description: d\n", "name at least one fragment"),
        ("description: d\nprebuilt: {package: p}\nseries: [s]\n", "takes no series"),
        ("description: d\nprebuilt: {}\n", "either package or path"),
        ("description: d\nfragments: [base]\nclaims: [{metric: m}]\n", r"claims\[0\].text"),
    ],
)
def test_a_bad_variant_is_one_error(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "v.yaml").write_text(text)
    with pytest.raises(UserError, match=complaint):
        load_named(Variant, tmp_path, "v")
