# SPDX-License-Identifier: GPL-2.0-only
"""experiment.lock.yaml: everything an experiment resolves to, and the hash that names it.

Two starts with the same lock are the same experiment and share a results folder; a changed patch,
machine, QEMU or host makes another one, so that unlike runs never meet in one dataset.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from harness.errors import UserError
from harness.files import read_plain
from harness.foreign import MAX_YAML, read_yaml
from harness.model.experiment import Experiment
from harness.model.machine import Machine
from harness.model.run import Clock, Environment, Kernel
from harness.model.schema import Model
from harness.model.variant import Variant

LOCK_FILE = "experiment.lock.yaml"

GateStatus = Literal["green", "failed"]
"""What the correctness gate says of a kernel that it has seen."""

# What may differ between two starts of the same experiment.
_VOLATILE = {"load_1min", "harness_version", "tsc_khz", "host_kernel", "slowdown"}
# Keys that came later, and are no part of what an experiment without them is.
_ADDED = (
    *("guest", "image_sha256", "program_sha256", "idle_sha256", "words", "bases"),
    *("instrument", "profile_sha256", "system_map"),
)
# What is only said about an experiment, a variant or a machine. Where it runs: see environment.
_WORDS = ("description", "origin", "claims", "host_labels", "known_failures")


_HASH = re.compile(r"[0-9a-f]{12}")


class Lockfile(Model):
    """An experiment with everything it names resolved."""

    experiment: Experiment
    base: str
    """version of the source; of all of them where there are several"""
    bases: dict[str, str] | None = None
    """version of each base that the experiment names"""
    variants: dict[str, Variant]
    machines: dict[str, Machine]
    kernels: dict[str, Kernel | str]
    initramfs_sha256: str
    plugin_sha256: str | None = None
    image_sha256: str | None = None
    program_sha256: str | None = None
    idle_sha256: str | None = None
    """of the plugin that tells idle from work on the work clock"""
    profile_sha256: str | None = None
    """of the plugin that counts instructions by function"""
    words: dict[str, dict[Clock, str]] | None = None
    """kernel parameters that the harness itself gives, by variant and clock; those that follow from
    the host's TSC rate are left out, as that is"""
    environment: Environment
    gate: dict[str, GateStatus] = Field(default={})
    """what the gate said of each variant's kernel, where it had seen it; it changes no boot"""
    on_file: str | None = Field(default=None, exclude=True)

    @property
    def hash(self) -> str:
        """Twelve hex digits over all that can change a boot; the one on file, if any.

        A model that has gained a key since would else give an old dataset another name.
        """
        if self.on_file:
            return self.on_file
        data = self.model_dump(mode="json", exclude={"gate"})
        for key in _VOLATILE:
            data["environment"].pop(key, None)
        for entry in (data["experiment"], *data["variants"].values(), *data["machines"].values()):
            for key in _WORDS:
                entry.pop(key, None)
        for key in _ADDED:
            prebuilt = (variant["prebuilt"] or {} for variant in data["variants"].values())
            for entry in (data, data["experiment"], *data["experiment"]["matrix"], *prebuilt):
                if entry.get(key, key) is None:
                    del entry[key]
        text = json.dumps(data, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_yaml(self) -> str:
        """The lock as a file for people; `from_yaml` reads it back."""
        known = self.model_dump(mode="json", exclude_none=True)
        data: dict[str, Any] = {"hash": self.hash, **known}
        if not self.gate:
            del data["gate"]
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)

    @classmethod
    def read(cls, path: Path) -> Lockfile:
        """Reads the lock of a results folder; raises `UserError` where it is damaged, or gone."""
        try:
            data = read_plain(path, MAX_YAML)
        except OSError as error:
            raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from None
        return cls.from_yaml(data, str(path))

    @classmethod
    def from_yaml(cls, text: bytes | str, where: str) -> Lockfile:
        """Reads a lock; raises `UserError` where it is damaged."""
        data = read_yaml(text, where)
        if isinstance(data, dict):
            data["on_file"] = name = data.pop("hash", None)
            if name is not None and not (isinstance(name, str) and _HASH.fullmatch(name)):
                raise UserError("hash: is none", where=where)
        return cls.parse(data, where)
