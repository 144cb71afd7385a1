# SPDX-License-Identifier: GPL-2.0-only
"""The sections of a report as data: what is said, and what is left unsaid."""

import os
import shlex
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.dataset import Summary, cells_of, dataset
from harness.report import sections
from harness.results.folder import Damage, Results
from tests.support.checkout import ROOT
from tests.support.records import EVIL, lock, stored, tabulated

QUICK = ROOT / "results/reference/quick"


def test_a_claim_begins_with_its_verdict():
    found = dataset.load(ROOT / "results/reference/scale")
    section = sections.claimed(found, Summary.of(found.summary))
    assert section.tables
    for table in section.tables:
        assert table.head[:3] == ["verdict", "variant", "claim"]
        assert all(len(row[0]) < 31 for row in table.rows)


def typed(command: str) -> list[str]:
    """The words that a shell makes of a command."""
    argv = ["sh", "-c", f"printf '%s\\n' {command}"]
    env = {"PATH": os.environ["PATH"], "PAGEINIT_CACHE": "/CACHE"}
    return subprocess.run(argv, env=env, capture_output=True, text=True).stdout.splitlines()


def test_the_line_of_a_cell_is_that_of_its_boot(context):
    section = sections.reproduction(context, Results(QUICK))
    assert len(section.excerpts) == len(context.chosen) == 12
    title, block = section.excerpts[0]
    assert title.startswith("eager")
    build, _, command = block.partition("\n")
    assert build == "harness build eager"
    cell = next(cell for cell in context.chosen if cell[1] in title and cell[0] in title)
    recorded = (QUICK / context.chosen[cell].evidence / "qemu.sh").read_text()
    argv = typed(recorded.partition("\nexec ")[2])
    said = typed(command)
    assert len(said) == len(argv) > 40
    differ = [(a, b) for a, b in zip(argv, said, strict=True) if a != b]
    assert [b.rpartition("/")[2] for _, b in differ] == ["bzImage", "initramfs.cpio"]
    for a, b in differ:
        assert a.endswith(b.removeprefix("/CACHE")) and b.startswith("/CACHE/")


def test_a_script_that_is_not_ours_gives_no_line():
    assert sections._words("#!/bin/sh\nrm -rf '") == []
    assert sections._words("\nexec 'open") == []


def test_without_evidence_no_cell_is_reproduced(context, tmp_path):
    assert not sections.reproduction(context, Results(tmp_path)).excerpts


words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(argv=st.lists(words, min_size=1, max_size=9))
def test_any_line_of_ours_is_read_back(argv):
    script = "#!/bin/sh\nexec " + " \\\n  ".join(map(shlex.quote, argv))
    if "\\\n" not in "".join(argv):
        assert sections._words(script) == argv


def test_every_boot_is_counted_and_what_went_wrong_is_shown_harmless(tmp_path):
    found = tabulated()
    section = sections.outcomes(found, tmp_path)
    (table,) = section.tables
    assert sum(int(row[-1]) for row in table.rows) == len(found.runs)
    bad = (found.runs["outcome"] != "ok").sum()
    assert f"{bad} not ok" in section.notes[0] and not section.folded
    assert any("\x1b" not in lines and "alert(1)" in lines for _, lines in section.excerpts)
    assert EVIL not in "".join(lines for _, lines in section.excerpts)


def test_where_all_is_well_the_outcomes_are_folded(tmp_path):
    good = dataset.tabulate([stored(("eager", "m1", "time"), 0, 1)], lock())
    section = sections.outcomes(good, tmp_path)
    assert section.folded and not section.excerpts
    harmed = replace(good, damage=(Damage(tmp_path / "x", "\x1b"),))
    section = sections.outcomes(harmed, tmp_path)
    assert not section.folded and section.notes[-1] == "Damaged: x: \N{REPLACEMENT CHARACTER}"


def test_how_to_read_the_figures_follows_from_what_was_booted():
    def notes(clock):
        found = dataset.tabulate([stored(("eager", "m1", clock), 0, 1)], lock())
        return " ".join(sections.caveats(found, Summary.of(found.summary)).notes)

    assert "is not a time" in notes("work") and "is not a time" not in notes("time")
    assert "under emulation (TCG)" in notes("time")
    assert "“with waits”" in notes("work"), "no idle was recorded"


def test_the_headline_has_every_cell_once():
    found = tabulated()
    table = sections.headline_table(found, Summary.of(found.summary))
    cells = [tuple(row[:3]) for row in table.rows]
    assert len(cells) == len(set(cells)) == len(cells_of(found))


@pytest.mark.parametrize("part", ["gate_sections", "limit_sections"])
def test_what_was_not_asked_has_no_section(part):
    found = dataset.tabulate([stored(("eager", "m1", "time"), 0, 1)], lock())
    assert list(getattr(sections, part)(found)) == []


def test_a_gate_has_a_table_a_variant_with_both_builds():
    found = dataset.load(ROOT / "results/reference/gate")
    (section,) = sections.gate_sections(found)
    assert len(section.tables) == found.gate["variant"].nunique()
    for table in section.tables:
        assert table.head[1:3] == ["measured build", "debug build, memmap poisoned"]
        assert {row[1] for row in table.rows} <= {"pass", "skip", "fail", "-"}
    assert sum(len(table.rows) for table in section.tables) * 2 >= len(found.gate)


def test_the_limits_of_the_committed_dataset_are_sorted_into_words():
    rows = [
        {"variant": "a", "max_bootable_bytes": 1 << 30, "host_rss_peak_bytes": 1 << 20,
         "next_bytes": None, "next_outcome": None, "next_reason": None},
        {"variant": "b", "max_bootable_bytes": None, "host_rss_peak_bytes": None,
         "next_bytes": 1 << 31, "next_outcome": "killed", "next_reason": "by the host"},
    ]  # fmt: skip
    assert sections.limit_table(rows).rows == [
        ["a", "1GiB", "1MiB", "-", "-"],
        ["b", "-", "-", "2GiB", "killed: by the host"],
    ]
