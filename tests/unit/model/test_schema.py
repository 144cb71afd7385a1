# SPDX-License-Identifier: GPL-2.0-only
"""Files of models by their names."""

from pathlib import Path

import pytest

from harness.errors import UserError
from harness.model.machine import Machine
from harness.model.schema import load_named


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "quad-16g.yaml").touch()
    with pytest.raises(UserError, match="did you mean 'quad-16g'"):
        load_named(Machine, tmp_path, "qaud-16g")
    with pytest.raises(UserError, match="there are: quad-16g"):
        load_named(Machine, tmp_path, "../quad-16g")
