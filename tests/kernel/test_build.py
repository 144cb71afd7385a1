# SPDX-License-Identifier: GPL-2.0-only
"""Patches, configuration and compiler on the real base: the same bytes, or an error that helps."""

import shutil
from pathlib import Path

import pytest

from harness import files
from harness.cli import main
from harness.errors import ConfigError, PatchError
from harness.kernel import build, patches
from harness.kernel.store import Kernels
from harness.project import Project
from tests.support.real import ROOT

REBUILT = ("mm", "init", "arch/x86/mm")
"""What is compiled anew for the comparison of two builds, never taken from ccache."""


@pytest.fixture
def second_cache(project, kernels):
    """A cache of its own that shares the source and ccache with the first one, and nothing else."""
    kernels.base  # noqa: B018 - fetched now, to be shared
    top = project.cache.parent / f"{project.cache.name}-second"
    folder = top / "with" / "another-path"
    shutil.rmtree(top, ignore_errors=True)
    folder.mkdir(parents=True)
    for shared in ("sources", "ccache"):
        (project.cache / shared).mkdir(exist_ok=True)
        (folder / shared).symlink_to(project.cache / shared)
    yield folder
    shutil.rmtree(top, ignore_errors=True)


def test_the_same_inputs_give_the_same_bytes_elsewhere(project, kernels, second_cache, monkeypatch):
    variant = project.variant("grow")
    first = kernels.get(variant).kernel
    # What another person's shell would bring along.
    monkeypatch.setenv("KBUILD_BUILD_USER", "somebody")
    monkeypatch.setenv("KBUILD_BUILD_TIMESTAMP", "Thu Jan  1 00:00:00 UTC 1970")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    there = Kernels(Project(ROOT, second_cache), jobs=3)
    second = there.get(variant).kernel
    assert second == first
    # ccache hands out objects of the first path: these are compiled at the second one.
    (out,) = second_cache.glob("work/*/linux/build-*")
    objects = [path for folder in REBUILT for path in (out / folder).glob("*.o")]
    assert len(objects) > 50
    for path in objects:
        path.unlink()
    shutil.rmtree(second_cache / "kernels" / second.kernel_id)
    monkeypatch.setenv("CCACHE_RECACHE", "1")
    again = there.get(variant)
    assert all(path.is_file() for path in objects)
    assert second_cache in again.image.parents
    assert again.kernel.image_sha256 == first.image_sha256


def configure(kernels, tmp_path: Path, text: str) -> ConfigError:
    """Builds with one more fragment, which must fail before anything is compiled."""
    fragment = tmp_path / "more.config"
    fragment.write_text(text)
    variant = kernels.project.variant("eager")
    fragments = [*kernels.project.fragments(variant.fragments, kernels.asked), fragment]
    tree = kernels.tree(variant).tree
    with pytest.raises(ConfigError) as caught:
        build.build(kernels.base, tree, fragments, kernels.project.cache)
    return caught.value


def test_an_option_that_does_not_survive_is_named_with_its_cause(kernels, tmp_path):
    error = configure(kernels, tmp_path, "CONFIG_ZSWAP=y\nCONFIG_NO_SUCH_THING=y\n")
    zswap, nothing = (
        next(line for line in str(error).splitlines() if name in line)
        for name in ("CONFIG_ZSWAP", "CONFIG_NO_SUCH_THING")
    )
    assert "more.config:1" in zswap and "SWAP" in zswap.split("became n")[1]
    assert "more.config:2" in nothing and "no Kconfig file of this kernel knows" in nothing
    assert error.remedy


def test_two_fragments_that_disagree_are_both_named(kernels, tmp_path):
    error = configure(kernels, tmp_path, "CONFIG_HZ_250=n\n")
    assert "more.config:1" in str(error) and "base.config" in str(error)


BAD = """From: somebody
Subject: a change of what is not there

--- a/mm/mm_init.c
+++ b/mm/mm_init.c
@@ -10,3 +10,3 @@
 #include <linux/init.h>
-#include <linux/what-nobody-wrote.h>
+#include <linux/nor-this.h>
 #include <linux/export.h>
"""


def series(folder: Path, **texts: str) -> Path:
    folder.mkdir()
    for name, text in texts.items():
        (folder / f"{name}.patch").write_text(text)
    (folder / "series").write_text("".join(f"{name}.patch\n" for name in texts))
    return folder


def test_a_patch_that_does_not_apply_names_file_hunk_and_base(kernels, tmp_path):
    with pytest.raises(PatchError) as caught:
        patches.apply(kernels.base, [series(tmp_path / "bad", wrong=BAD)])
    text = str(caught.value)
    assert "wrong.patch" in text and "mm/mm_init.c" in text
    assert "@@ -10,3 +10,3 @@" in text and "what-nobody-wrote.h" in text
    assert f"does not apply to {kernels.base.version}" in text


def test_a_patch_that_is_there_already_is_told_apart(kernels, tmp_path):
    marks = kernels.project.port("boot-marks", kernels.asked)
    (first, *_) = patches.read_series(marks)
    again = series(tmp_path / "again", once_more=first.read_text())
    with pytest.raises(PatchError, match="already applied") as caught:
        patches.apply(kernels.base, [marks, again])
    assert "once_more.patch" in str(caught.value)


@pytest.mark.parametrize("base", ["6.12", "7.3"])
def test_every_series_of_this_checkout_applies(kernels, source_of, base):
    source_of(base)
    here = kernels.at(kernels.project.chosen(base))
    variants = kernels.project.built(base=base)
    assert {"eager", "on-demand", "zero-check"} <= {variant.name for variant in variants}
    for variant in variants:
        tree = here.tree(variant)
        assert tree.tree != here.base.tree and tree.added > 0


def test_a_known_kernel_is_not_built_again(kernels, project, capfd):
    kernels.get(project.variant("eager"))
    words = ["--root", str(ROOT), "--cache", str(project.cache), "build", "eager", "deferred"]
    with files.locked(project.cache / "work" / kernels.base.folder.name / ".lock"):
        # A build would wait for this lock for ever.
        assert main(words) == 0
    assert "building kernel" not in capfd.readouterr().err
