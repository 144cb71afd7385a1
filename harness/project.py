# SPDX-License-Identifier: GPL-2.0-only
"""Where things are: the checkout with its variants, machines and experiments, and the cache."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.files import disk_errors
from harness.model import Base, Experiment, Machine, Role, Variant, definition, load_named

PARTS = ("kernel-patches", "qemu-configs", "experiments")
"""What makes a folder a project."""

SHIPPED = Path(__file__).parent / "shipped"
"""The same in a wheel; a checkout has no such folder."""


@dataclass(frozen=True)
class Project:
    """A checkout (`root`), and the folder outside it for all that can be made again."""

    root: Path
    cache: Path

    @classmethod
    def find(
        cls, start: Path | str = ".", cache: Path | None = None, *, shipped: bool = True
    ) -> Project:
        """The project around `start`, or else what a wheel brings, where `shipped` may be it.

        Sources and kernels lie in `cache`: that of the environment, where it is not told. Raises
        `UserError` where there is neither.
        """
        start, cache = Path(start).resolve(), cache or cache_folder(os.environ)
        for folder in (start, *start.parents):
            if (folder / "kernel-patches").is_dir() and (folder / "qemu-configs").is_dir():
                return cls(folder, cache)
        if shipped and SHIPPED.is_dir():
            return cls(SHIPPED, cache)
        raise UserError(
            "no kernel-patches/ and qemu-configs/ here or above",
            where=str(start),
            remedy="run inside a checkout, name it with --root, or make a project: harness init",
        )

    def lay_out(self, folder: Path) -> Project:
        """The same machines, series, variants and experiments in a folder where they may change.

        Raises `UserError` where any of them is there already.
        """
        folder = folder.resolve()
        for part in PARTS:
            if (folder / part).exists():
                raise UserError(f"{part}/ is there already", where=str(folder))
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for part in PARTS:
                if (self.root / part).is_dir():
                    shutil.copytree(self.root / part, folder / part)
        return Project(folder, self.cache)

    @property
    def patches(self) -> Path:
        return self.root / "kernel-patches"

    @property
    def bases(self) -> tuple[str, ...]:
        """The names of all bases."""
        return tuple(sorted(path.stem for path in (self.patches / "bases").glob("*.yaml")))

    def base(self, name: str | None = None) -> Base:
        """Loads kernel-patches/bases/NAME.yaml; without a name the default one.

        Raises `UserError` for a name that is not there, and where it is not clear which is meant.
        """
        folder = self.patches / "bases"
        if name is not None:
            base = load_named(Base, folder, name)
            if base.ports is not None and base.ports not in self.bases:
                there = f"there are: {', '.join(self.bases)}"
                said = f"ports: no base called {base.ports!r}"
                raise UserError(said, where=str(folder / f"{name}.yaml"), remedy=there)
            return base
        found = [self.base(each) for each in self.bases]
        chosen = [base for base in found if base.default] or found
        if len(chosen) == 1:
            return chosen[0]
        raise UserError(
            f"{len(chosen)} bases may be meant: {', '.join(base.name for base in chosen)}"
            if chosen
            else "no base there",
            where=str(folder),
            remedy="write `default: true` into one of them, and into no other",
        )

    def chosen(self, base: str | None) -> str | None:
        """A base that was named, if that is not the default one: kernels of that go without."""
        if base is None or self.base(base).name == self.base().name:
            return None
        return base

    def variant(self, name: str) -> Variant:
        """Loads kernel-patches/variants/NAME.yaml and checks that what it names is there.

        The second arm of an A/A comparison is the same variant under another name.
        """
        variant = load_named(Variant, self.patches / "variants", definition(name))
        for index, series in enumerate(variant.series):
            self._need(name, f"series[{index}]", self.patches / series, "series")
        for index, fragment in enumerate(variant.fragments):
            self._need(name, f"fragments[{index}]", self.patches / "configs", f"{fragment}.config")
        return variant

    def machine(self, name: str) -> Machine:
        """Loads qemu-configs/NAME.yaml."""
        return load_named(Machine, self.root / "qemu-configs", name)

    def experiment(self, path: Path | str, base: str | None = None) -> Experiment:
        """Loads an experiment by path, or by its name in experiments/.

        `base` is the name of a kernel source that takes the place of those in the file.
        """
        path = Path(path)
        if path.suffix == ".yaml" or path.exists():
            found = Experiment.load(path)
        else:
            found = load_named(Experiment, self.root / "experiments", str(path))
        if base is None:
            return found
        bases = (chosen,) if (chosen := self.chosen(base)) else None
        matrix = tuple(group.model_copy(update={"bases": None}) for group in found.matrix)
        return found.model_copy(update={"bases": bases, "matrix": matrix})

    def variants(self, role: Role = "proposal") -> tuple[str, ...]:
        """The names of all variants of a role."""
        found = sorted(p.stem for p in (self.patches / "variants").glob("*.yaml"))
        return tuple(name for name in found if self.variant(name).role == role)

    def port(self, series: str, base: Base) -> Path:
        """The folder of a series as it was made for a base, else the one that fits all.

        Raises `UserError` that names the bases which the series was ported to.
        """
        folder = self.patches / series
        for place in (*(folder / home for home in base.homes), folder):
            if (place / "series").is_file():
                return place
        known = ", ".join(sorted(path.parent.name for path in folder.glob("*/series")))
        raise UserError(
            f"series {series} has no port to base {base.name}",
            where=str(folder),
            remedy=f"it has ports to: {known or 'none'}; docs/patches.md shows how one is made",
        )

    def built(self, names: Sequence[str] = (), base: str | None = None) -> list[Variant]:
        """The variants of these names; without names all that are built from source on a base."""
        if names:
            return [self.variant(name) for name in dict.fromkeys(names)]
        every = [self.variant(name) for name in self.variants()]
        found = [variant for variant in every if not variant.prebuilt]
        asked = self.base(base) if found else None
        return [variant for variant in found if asked and self.ported(variant, asked)]

    def ported(self, variant: Variant, base: Base) -> bool:
        """Whether all series of a variant are made for a base."""
        try:
            self.series(variant, base)
        except UserError:
            return False
        return True

    def series(self, variant: Variant, base: Base) -> tuple[Path, ...]:
        """The folders of a variant's series on a base, in order."""
        return tuple(self.port(name, base) for name in variant.series)

    def fragments(self, names: Iterable[str], base: Base) -> tuple[Path, ...]:
        """The files of fragments: what all bases have in common, then what the architecture and the
        base have beside it.

        Raises `UserError` for a fragment that has neither.
        """
        files: list[Path] = []
        folder = self.patches / "configs"
        for name in names:
            own = (folder / home / f"{name}.config" for home in base.homes)
            common = folder / f"{name}.config", folder / base.arch.name / f"{name}.config"
            found = [*filter(Path.is_file, common)]
            found += [file for file in own if file.is_file()][:1]
            if not found:
                raise UserError(
                    f"no fragment {name} for base {base.name}",
                    where=str(folder),
                    remedy=f"write {name}.config here, or in {base.name}/",
                )
            files += found
        return tuple(files)

    def _need(self, variant: str, key: str, folder: Path, file: str) -> None:
        """The file is there: for all bases, or for one at least."""
        if not any(path.is_file() for path in (folder / file, *folder.glob(f"*/{file}"))):
            raise UserError(
                f"{key}: no such file: {folder / file}",
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
