# SPDX-License-Identifier: GPL-2.0-only
"""A kernel under test: base + series + fragments + boot parameters, and who proposed it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from harness.model.base import PackageName, Toolchain
from harness.model.run import Clock
from harness.model.schema import Model, Name, Parameter
from harness.units import Size

OptionName = Annotated[str, StringConstraints(pattern=r"^CONFIG_\w+$", max_length=100)]
OptionValue = Annotated[
    str,
    StringConstraints(pattern=r"^(y|m|n|0[xX][0-9a-fA-F]+|-?\d+|\"[^\"\\\n]*\")$", max_length=200),
]

Role = Literal["proposal", "reference", "broken"]
"""`broken` is made to fail the correctness gate: nothing takes it in unless it is named."""


class Origin(Model):
    """Where a proposal comes from."""

    who: str
    """who proposed it"""
    when: date | None = None
    """the day of the proposal"""
    link: str | None = None
    """where to read it"""
    message_id: str | None = None
    """Message-ID of the mail"""


class Claim(Model):
    """What the author of a proposal predicted or measured; the report sets it beside ours."""

    metric: str
    """name of a phase, or several joined by `+` and `-`; first_touch, touch_recycled, mem_total,
    mem_free, host_memory or lines"""
    text: str
    """the claim in a sentence"""
    link: str | None = None
    """where it is written"""
    at: Size | None = None
    """memory of the machine it was made for"""
    before_s: float | None = None
    """seconds without the change"""
    after_s: float | None = None
    """seconds with it"""
    speedup: float | None = None
    """before over after"""
    slowdown: float | None = None
    """the part by which something got slower: 0.026 is 2.6 %"""
    max_lines: int | None = None
    """lines that the series may add at most, or a ninth more"""
    max_bytes: Size | None = None
    """bytes that it may take at most"""
    max_ns_per_page: float | None = None
    """nanoseconds of the time clock that it may take at most for each page of 4 KiB"""
    goal: bool = False
    """it is a goal of this project, and nobody else's claim"""
    increases: bool = False
    """it gets larger than the baseline's"""
    decreases: bool = False
    """it gets smaller than the baseline's, by however much"""
    clock: Clock | None = None
    """the only clock that can tell"""
    experiment: str | None = None
    """the only experiment that can tell"""
    against: str | None = None
    """the variant to compare with, where it is not the baseline; for lines: with less of them"""
    untestable: str | None = None
    """why it cannot be tested here"""
    judged: str | None = None
    """what was found by hand, and where that is shown"""
    who: str | None = None
    """who claimed it, where that is not who proposed the variant"""

    @property
    def gain(self) -> float | None:
        """Before over after, as claimed."""
        if self.speedup is None and self.before_s and self.after_s:
            return self.before_s / self.after_s
        return self.speedup


class MemoryModel(Model):
    """What a boot of this variant touches on the host, for the prediction before a start."""

    memmap_share: float = Field(default=1.0, ge=0, le=1)
    """part of the memmap (RAM/64) that the boot writes"""
    fixed: Size = 0
    """what the boot touches beside it, on any machine"""


class Prebuilt(Model):
    """A kernel that somebody else built: a Debian package, unpacked, or a bzImage on disk."""

    package: PackageName | None = None
    """a Debian package, `linux-image-*`; a meta package leads to the real one"""
    path: str | None = Field(default=None, min_length=1)
    """a bzImage, `~` allowed, else relative to the checkout"""
    system_map: str | None = Field(default=None, min_length=1)
    """its System.map, as `path`, where its functions are to be told apart and it has no kallsyms"""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.package is None) == (self.path is None):
            raise ValueError("give either package or path")
        return self


class Variant(Model):
    """One file of kernel-patches/variants/."""

    name: Name
    description: str
    """what the kernel does differently, in a sentence"""
    role: Role = "proposal"
    """taken in only where they are named: `broken`, which is made to fail the correctness gate, and
    `reference`, a kernel that is measured as it is, without marks"""
    origin: Origin | None = None
    """who proposed it"""
    series: tuple[Name, ...] = ()
    """folders of kernel-patches/, applied in this order"""
    fragments: tuple[Name, ...] = ()
    """files of kernel-patches/configs/, without `.config`; the order does not matter"""
    boot: tuple[Parameter, ...] = ()
    """kernel parameters of this variant, one an item"""
    memory_model: MemoryModel = MemoryModel()
    """what it touches on the host, for the prediction before a start"""
    claims: tuple[Claim, ...] = ()
    """what its author predicted; the report sets it beside what was measured"""
    known_failures: dict[str, dict[str, str]] | None = Field(
        default=None, exclude_if=lambda said: said is None
    )
    """by base and by scenario of the gate: where it is said that it fails there (docs/gate.md)"""
    prebuilt: Prebuilt | None = None
    """a kernel that somebody else built, instead of series and fragments"""
    # As long as nobody chooses one, a lock is what it was before the key existed.
    toolchain: Toolchain | None = Field(default=None, exclude_if=lambda chosen: chosen is None)
    """what compiles it, where that is not what compiles the base's"""
    options: dict[OptionName, OptionValue] | None = Field(
        default=None, exclude_if=lambda chosen: chosen is None
    )
    """options of the `.config` that it has otherwise than its fragments, `CONFIG_NAME: n`"""

    @model_validator(mode="after")
    def _built_or_prebuilt(self) -> Self:
        if self.prebuilt and (self.series or self.fragments):
            raise ValueError("prebuilt: a prebuilt kernel takes no series and no fragments")
        if self.prebuilt and self.options:
            raise ValueError("options: a prebuilt kernel is configured already")
        if self.prebuilt and self.toolchain:
            raise ValueError("toolchain: a prebuilt kernel is compiled already")
        if not self.prebuilt and not self.fragments:
            raise ValueError("fragments: name at least one fragment of kernel-patches/configs")
        return self
