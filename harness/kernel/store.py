# SPDX-License-Identifier: GPL-2.0-only
"""The kernel of a variant: built or fetched, and from the store when it is known already."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from harness.host_lock import beside
from harness.kernel import build, debian, patches, source
from harness.kernel.build import BuiltKernel
from harness.model import Base, Prebuilt, Variant
from harness.project import Project

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kernels:
    """Gets kernels for the variants of one project; the base is fetched when first needed."""

    project: Project
    jobs: int = 0
    given: source.Source | None = None
    """a base that base.yaml does not name"""
    trees: Mapping[str, str] = field(default_factory=dict)
    """trees of variants that are not what their series make"""

    @cached_property
    def base(self) -> source.Source:
        """The verified base source; raises `SourceError` or `HostError`."""
        return self.given or source.fetch(Base.load(self.project.base), self.project.cache)

    def tree(self, variant: Variant) -> patches.PatchedTree:
        """The base with the variant's series applied; raises `PatchError`."""
        return patches.apply(self.base, self.project.series(variant))

    def get(self, variant: Variant) -> BuiltKernel:
        """The kernel, built if it is not in the store.

        Raises `SourceError`, `PatchError`, `ConfigError`, `BuildError` or `HostError`.
        """
        if variant.prebuilt:
            return self._prebuilt(variant.prebuilt)
        cache, tree = self.project.cache, self.trees.get(variant.name) or self.tree(variant).tree
        fragments = self.project.fragments(variant)
        if found := build.known(self.base, tree, fragments, cache):
            return found
        with beside(cache, log.info):
            return build.build(self.base, tree, fragments, cache, jobs=self.jobs)

    def known(self, variant: Variant) -> BuiltKernel | None:
        """The kernel if neither network nor compiler is needed for it; raises as `get` does."""
        base = source.cached(Base.load(self.project.base), self.project.cache)
        if variant.prebuilt or base is None:
            return None
        tree = patches.apply(base, self.project.series(variant)).tree
        return build.known(base, tree, self.project.fragments(variant), self.project.cache)

    def _prebuilt(self, wanted: Prebuilt) -> BuiltKernel:
        if wanted.package:
            found = debian.fetch_prebuilt(wanted.package, self.project.cache)
        else:
            found = debian.read_image(self.project.root / str(wanted.path))
        return BuiltKernel(found.kernel, found.image, None, found.config)
