# SPDX-License-Identifier: GPL-2.0-only
"""One boot of the fake QEMU with a profile, and what is said where there is none."""

from pathlib import Path

import pytest

from harness.errors import HostError, ResultsError, SourceError, UserError
from harness.project import Project
from harness.results.folder import Results
from harness.run.profile import Foreign, ProfiledBoot, profile_boot
from tests.support.profiles import EAGER, kernel_of, written


@pytest.fixture
def kernel(checkout: Path) -> Foreign:
    """A kernel with a System.map beside it."""
    return Foreign.of(*kernel_of(checkout))


def boot(checkout: Path, kernel: Foreign | str) -> ProfiledBoot:
    place = Project.find(checkout, checkout.parent / "cache")
    return profile_boot(place, kernel, "small", Results(checkout / "profiled"))


def test_a_kernel_of_others_has_its_profile(checkout, kernel, monkeypatch):
    monkeypatch.setenv("FAKE_PROFILE", written(EAGER))
    found = boot(checkout, kernel)
    assert (found.name, found.caveats) == ("vmlinuz-6.12.0-small", ())
    assert found.run.clock == "work" and found.profile.costs["memmap_init_range"].own == 700
    (word,) = [word for word in found.run.argv if ",out=profile.txt" in word]
    assert word.endswith(f",symbols={checkout / 'System.map'}")


def test_a_phase_is_named_or_what_there_is_instead(checkout, kernel, monkeypatch):
    monkeypatch.setenv("FAKE_PROFILE", written(EAGER))
    found = boot(checkout, kernel)
    # The compiler has put memmap_init() into its caller: what is left of it is taken.
    assert found.phase("memmap_init").total == 700
    assert found.phase("kernel_init").total == 60
    with pytest.raises(UserError, match="deferred_grow_zone: no such function ran") as error:
        found.phase("deferred_init")
    assert "phases: setup_arch, memmap_init, mm_core_init" in (error.value.remedy or "")
    with pytest.raises(UserError) as error:
        found.phase("memblock_free")
    assert "there are functions memblock_free_all" in (error.value.remedy or "")


def test_a_boot_that_died_has_what_there_was(checkout, kernel, monkeypatch):
    monkeypatch.setenv("FAKE_PROFILE", written(EAGER, "early", lost=2))
    found = boot(checkout, kernel)
    assert "did not reach user space" in found.caveats[0] and "2 calls" in found.caveats[1]


def test_what_cannot_be_profiled_says_why(checkout, kernel, monkeypatch):
    with pytest.raises(ResultsError, match="no profile, or not all of it"):
        boot(checkout, kernel)
    with pytest.raises(SourceError, match="compressed in a way unknown"):
        boot(checkout, "one")
    monkeypatch.setenv("FAKE_QEMU", "no-plugins")
    with pytest.raises(HostError, match="built without plugins, so that it cannot profile"):
        profile_boot(
            Project.find(checkout, checkout.parent / "cache"),
            kernel,
            "small",
            Results(checkout / "again"),
        )


@pytest.mark.parametrize("word", ["no/such/file", "No-Package", "-x"])
def test_a_word_that_is_no_kernel_is_refused(checkout, word):
    with pytest.raises(UserError, match="no such file, and no name of a package"):
        Foreign.of(word)


def test_a_system_map_that_names_nothing_is_refused(checkout):
    (checkout / "stub").write_text("ffffffffffffffff B see another package\n")
    with pytest.raises(UserError, match="names no functions"):
        Foreign.of("linux-image-amd64", checkout / "stub")
