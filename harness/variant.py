# SPDX-License-Identifier: GPL-2.0-only
"""A kernel under test: base + series + fragments + boot parameters, and who proposed it."""

from __future__ import annotations

from datetime import date
from typing import Self

from pydantic import Field, field_validator, model_validator

from harness.model import Model
from harness.quantity import Size

NAME = r"[a-z0-9][a-z0-9._-]*"


class Origin(Model):
    """Where a proposal comes from."""

    who: str
    when: date | None = None
    link: str | None = None
    message_id: str | None = None


class Claim(Model):
    """What the author of a proposal predicted or measured; the report sets it beside ours."""

    metric: str
    text: str
    link: str | None = None
    at: Size | None = None
    before_s: float | None = None
    after_s: float | None = None
    speedup: float | None = None
    slowdown: float | None = None
    max_lines: int | None = None


class MemoryModel(Model):
    """What a boot of this variant touches on the host, for the prediction before a start.

    `memmap_share` is the part of the memmap (RAM/64) written during boot, `fixed` a constant.
    """

    memmap_share: float = Field(default=1.0, ge=0, le=1)
    fixed: Size = 0


class Prebuilt(Model):
    """A kernel that somebody else built: a Debian package, unpacked, or a bzImage on disk."""

    package: str | None = None
    path: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.package is None) == (self.path is None):
            raise ValueError("give either package or path")
        return self


class Variant(Model):
    """One file of kernel-patches/variants/."""

    name: str = Field(pattern=NAME)
    description: str
    origin: Origin | None = None
    series: tuple[str, ...] = ()
    fragments: tuple[str, ...] = ()
    boot: tuple[str, ...] = ()
    memory_model: MemoryModel = MemoryModel()
    claims: tuple[Claim, ...] = ()
    prebuilt: Prebuilt | None = None

    @field_validator("boot")
    @classmethod
    def _words(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        for word in words:
            if not word or any(c.isspace() for c in word):
                raise ValueError(f"{word!r} is not one kernel parameter; write one a list item")
        return words

    @model_validator(mode="after")
    def _built_or_prebuilt(self) -> Self:
        if self.prebuilt and (self.series or self.fragments):
            raise ValueError("prebuilt: a prebuilt kernel takes no series and no fragments")
        if not self.prebuilt and not self.fragments:
            raise ValueError("fragments: name at least one fragment of kernel-patches/configs")
        return self
