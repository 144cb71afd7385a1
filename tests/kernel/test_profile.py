# SPDX-License-Identifier: GPL-2.0-only
"""The profile of kernels built here, held against the marks of the same boot."""

import pytest

from harness.compare import explain
from harness.results import Results
from harness.run import ProfiledBoot, profile_boot

MACHINE = "quad-8g"
CLOSE = 1e-6
"""Of a phase; beside it a mark is some tens of instructions within the function that it marks."""


@pytest.fixture(scope="module")
def boots(project, tmp_path_factory) -> dict[str, ProfiledBoot]:
    folder = tmp_path_factory.mktemp("profile")
    return {
        name: profile_boot(project, name, MACHINE, Results(folder / name))
        for name in ("eager", "deferred")
    }


@pytest.mark.parametrize("phase", ["setup_arch", "mm_core_init", "memblock_free_all"])
@pytest.mark.parametrize("variant", ["eager", "deferred"])
def test_a_profile_says_what_the_marks_say(boots, variant: str, phase: str) -> None:
    boot = boots[variant]
    (mark,) = (p for p in boot.run.phases if p.name == phase and p.source == "mark")
    assert boot.phase(phase).total == pytest.approx(mark.busy, rel=CLOSE, abs=100)


def test_a_function_that_has_returned_calls_nothing(boots) -> None:
    for line in boots["eager"].profile.collapsed():
        chain = line.rpartition(" ")[0].split(";")
        assert "memmap_init_range" not in chain[:-1] or chain[-1] != "memmap_init_range", line
        assert chain.count("__cond_resched") < 2, line


def test_functions_explain_what_deferred_changes(boots) -> None:
    found = explain(boots["eager"].profile, boots["deferred"].profile)
    assert found.telling[0].function == "memmap_init_range" and found.telling[0].difference < 0
    assert {each.function for each in found.telling} & {
        *("deferred_init_maxorder", "deferred_init_memmap", "__init_single_page"),
    }
