# SPDX-License-Identifier: GPL-2.0-only
"""What every part of the bench is told: where things are, and what was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.project import Project


@dataclass(frozen=True)
class Setting:
    """`sample` is the folder with real runs to multiply, none where there are no such."""

    project: Project
    scratch: Path
    full: bool = False
    sample: Path | None = None

    @property
    def golden(self) -> Path:
        """Consoles of real boots, good and bad."""
        return self.project.root / "tests" / "golden" / "console"
