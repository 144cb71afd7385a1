# SPDX-License-Identifier: GPL-2.0-only
"""Variants that are built from source, and a store that has their kernels: no test compiles one."""

import json
from collections.abc import Iterable
from pathlib import Path

from harness.files import sha256_of
from harness.kernel import build
from harness.kernel.store import Kernels
from harness.model.run import Kernel
from harness.model.variant import Variant
from harness.project import Project
from harness.results.folder import to_json
from tests.support.checkout import bzimage
from tests.support.sources import lay_base


def lay_sources(checkout: Path, names: Iterable[str]) -> Project:
    """A base of two files and variants of it, each with a kernel parameter of its own."""
    patches = lay_base(checkout)
    (patches / "configs/debug.config").write_text("CONFIG_DEBUG_VM=y\n")
    for name in names:
        text = f"description: d\nfragments: [base]\nboot: [which={name}]\n"
        (patches / f"variants/{name}.yaml").write_text(text)
    return Project.find(checkout, checkout.parent / "cache")


def keep(
    project: Project, variant: Variant, system_map: str = "ffffffff81000000 T _text\n"
) -> Kernels:
    """Puts the kernel of a variant into the store, as a build leaves it there."""
    kernels = Kernels(project)
    tree = kernels.tree(variant).tree
    plan = build.plan(kernels.base, tree, project.fragments(variant.fragments, kernels.asked))
    folder = project.cache / "kernels" / plan.kernel_id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bzImage").write_bytes(bzimage("6.12.1"))
    (folder / "System.map").write_text(system_map)
    (folder / "config").write_text(plan.fragment)
    kernel = Kernel(
        kernel_id=plan.kernel_id,
        base_version="6.12.1",
        tree=tree,
        config_sha256=sha256_of(folder / "config"),
        image_sha256=sha256_of(folder / "bzImage"),
    )
    (folder / "kernel.json").write_text(to_json(kernel))
    return kernels


def foreign(path: Path) -> None:
    """Makes a record one of a later version of the harness."""
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"schema_version": 999}))


def torn(path: Path) -> None:
    """Leaves half of a record."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
