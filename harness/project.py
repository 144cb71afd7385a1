# SPDX-License-Identifier: GPL-2.0-only
"""Where things are: the checkout with its variants, machines and experiments, and the cache."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.model import Experiment, Machine, Role, Variant, definition, load_named


@dataclass(frozen=True)
class Project:
    """A checkout (`root`), and the folder outside it for all that can be made again."""

    root: Path
    cache: Path

    @classmethod
    def find(cls, start: Path | str = ".", cache: Path | None = None) -> Project:
        """The checkout around `start`; raises `UserError` outside of one.

        Sources and kernels lie in `cache`: that of the environment, where it is not told.
        """
        start, cache = Path(start).resolve(), cache or cache_folder(os.environ)
        for folder in (start, *start.parents):
            if (folder / "kernel-patches").is_dir() and (folder / "qemu-configs").is_dir():
                return cls(folder, cache)
        raise UserError(
            "no kernel-patches/ and qemu-configs/ here or above",
            where=str(start),
            remedy="run inside a checkout, or name it with --root",
        )

    @property
    def patches(self) -> Path:
        return self.root / "kernel-patches"

    @property
    def base(self) -> Path:
        return self.patches / "base.yaml"

    def variant(self, name: str) -> Variant:
        """Loads kernel-patches/variants/NAME.yaml and checks that what it names is there.

        The second arm of an A/A comparison is the same variant under another name.
        """
        variant = load_named(Variant, self.patches / "variants", definition(name))
        for index, series in enumerate(variant.series):
            self._need(name, f"series[{index}]", self.patches / series / "series")
        for index, fragment in enumerate(variant.fragments):
            self._need(name, f"fragments[{index}]", self.fragment(fragment))
        return variant

    def machine(self, name: str) -> Machine:
        """Loads qemu-configs/NAME.yaml."""
        return load_named(Machine, self.root / "qemu-configs", name)

    def experiment(self, path: Path | str) -> Experiment:
        """Loads an experiment by path, or by its name in experiments/."""
        path = Path(path)
        if path.suffix == ".yaml" or path.exists():
            return Experiment.load(path)
        return load_named(Experiment, self.root / "experiments", str(path))

    def variants(self, role: Role = "proposal") -> tuple[str, ...]:
        """The names of all variants of a role."""
        found = sorted(p.stem for p in (self.patches / "variants").glob("*.yaml"))
        return tuple(name for name in found if self.variant(name).role == role)

    def fragment(self, name: str) -> Path:
        return self.patches / "configs" / f"{name}.config"

    def series(self, variant: Variant) -> tuple[Path, ...]:
        """The folders of a variant's series, in order."""
        return tuple(self.patches / name for name in variant.series)

    def fragments(self, variant: Variant) -> tuple[Path, ...]:
        """The fragments of a variant's configuration, in order."""
        return tuple(self.fragment(name) for name in variant.fragments)

    def _need(self, variant: str, key: str, path: Path) -> None:
        if not path.is_file():
            raise UserError(
                f"{key}: no such file: {path}",
                where=str(self.patches / "variants" / f"{variant}.yaml"),
            )


def cache_folder(environ: Mapping[str, str]) -> Path:
    """``$PAGEINIT_CACHE``, else ``$XDG_CACHE_HOME/pageinit``, else ``~/.cache/pageinit``."""
    if own := environ.get("PAGEINIT_CACHE"):
        return Path(own).absolute()
    # The XDG specification says to ignore a relative path.
    if (base := environ.get("XDG_CACHE_HOME", "")).startswith("/"):
        return Path(base) / "pageinit"
    return Path(environ.get("HOME") or Path.home()) / ".cache" / "pageinit"
