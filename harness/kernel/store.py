# SPDX-License-Identifier: GPL-2.0-only
"""The kernel of a variant: built or fetched, and from the store when it is known already."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from harness.cache import claim
from harness.errors import SourceError
from harness.host_lock import beside
from harness.kernel import build, debian, kallsyms, patches, source
from harness.kernel.build import BuiltKernel
from harness.model import ARCHS, ARM64, X86_64, Arch, Base, Prebuilt, Toolchain, Variant, on_base
from harness.model.schema import located
from harness.project import Project

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kernels:
    """Gets kernels for the variants of one project; the base is fetched when first needed."""

    project: Project
    jobs: int = 0
    on: str | None = None
    """name of the base; the default one where there is none"""
    given: source.Source | None = None
    """a source of a base that its file does not name"""
    newest: bool = False
    """whether pins are passed over: the newest version that there is"""
    trees: Mapping[str, str] = field(default_factory=dict)
    """trees of variants that are not what their series make"""
    kept: Mapping[str, str] = field(default_factory=dict)
    """kernels that are in the store already, by id; their variants are called as in a schedule"""

    @cached_property
    def asked(self) -> Base:
        """What the file of the base says; raises `UserError`."""
        asked = self.project.base(self.on)
        return asked.newest if self.newest else asked

    @cached_property
    def base(self) -> source.Source:
        """The verified base source; raises `UserError`, `SourceError` or `HostError`."""
        return self.given or source.fetch(self.asked, self.project.cache)

    def at(self, base: str | None) -> Kernels:
        """The kernels of the same project on another base; without a name, these."""
        return self if base is None else replace(self, on=base, given=None, trees={})

    def chosen(self, variant: Variant | None = None) -> Toolchain:
        """What compiles a variant: what it says, else what the base says, else the host's gcc."""
        asked = self.asked.toolchain or Toolchain()
        own = variant and variant.toolchain
        return own.model_copy(update={"arch": asked.arch}) if own else asked

    def arch(self, variant: Variant) -> Arch:
        """What a kernel is made for; of a package its name says it, of an image its first bytes.

        Raises `SourceError` for an image that is none.
        """
        if not (wanted := variant.prebuilt):
            return self.asked.arch
        if wanted.package:
            return ARM64 if wanted.package.endswith("-arm64") else X86_64
        return ARCHS[debian.arch_of_image(self._image(wanted))]

    def tree(self, variant: Variant) -> patches.PatchedTree:
        """The base with the variant's series applied; raises `PatchError`."""
        return patches.apply(self.base, self.project.series(variant, self.asked))

    def get(self, variant: Variant) -> BuiltKernel:
        """The kernel, built if it is not in the store.

        Raises `SourceError`, `PatchError`, `ConfigError`, `BuildError` or `HostError`.
        """
        claim(self.project.cache)
        if variant.prebuilt:
            return self._prebuilt(variant.prebuilt)
        if kept := self.kept.get(on_base(variant.name, self.on)):
            return build.kept(kept, self.project.cache)
        cache, tree = self.project.cache, self.trees.get(variant.name) or self.tree(variant).tree
        fragments = self.project.fragments(variant.fragments, self.asked)
        made_of = self.base, tree, fragments, cache, self.chosen(variant)
        options = variant.options
        if found := build.known(*made_of, options=options):
            return found
        with beside(cache, log.info):
            return build.build(*made_of, options=options, jobs=self.jobs)

    def known(self, variant: Variant) -> BuiltKernel | None:
        """The kernel if neither network nor compiler is needed for it; raises as `get` does."""
        if variant.prebuilt:
            return self._prebuilt(variant.prebuilt) if variant.prebuilt.path else None
        cache = self.project.cache
        base = source.cached(self.asked, cache)
        if base is None:
            return None
        tree = patches.apply(base, self.project.series(variant, self.asked)).tree
        fragments = self.project.fragments(variant.fragments, self.asked)
        made_of = base, tree, fragments, cache, self.chosen(variant)
        return build.known(*made_of, options=variant.options)

    def _image(self, wanted: Prebuilt) -> Path:
        return located(str(wanted.path), self.project.root)

    def _prebuilt(self, wanted: Prebuilt) -> BuiltKernel:
        if wanted.package:
            found = debian.fetch_prebuilt(wanted.package, self.project.cache)
        else:
            found = debian.read_image(self._image(wanted))
        said = wanted.system_map
        symbols = located(said, self.project.root) if said else None
        if symbols and not (symbols.is_file() and kallsyms.usable(symbols)):
            raise SourceError("names no functions of a kernel", where=str(symbols))
        return BuiltKernel(found.kernel, found.image, symbols, found.config)
