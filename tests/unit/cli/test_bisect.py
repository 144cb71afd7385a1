# SPDX-License-Identifier: GPL-2.0-only
"""``harness bisect`` over real patches and commits; only build and boot are played."""

import json
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness import bisect as trial
from harness.bisect import CommitRange, Point, Question, Threshold, Trial, measure
from harness.cli import main
from harness.errors import HostError
from harness.kernel.git import environment
from harness.model import Timeouts
from harness.nightly.history import History
from harness.parse.profile import Node, Profile
from harness.project import Project
from tests.support.checkout import ROOT
from tests.support.nights import Year, make
from tests.support.sources import MAKEFILE, MM, built_from_source
from tests.support.store import foreign, keep, lay_sources, torn

STEPS = {"memmap_init": {1: 4 / 3}}
ASK = ("--machine", "small", "--metric", "memmap_init")


def git(tree: Path, *words: str) -> str:
    argv = ["git", "-C", str(tree), "-c", "user.name=a", "-c", "user.email=a@b", *words]
    return subprocess.run(
        argv, check=True, capture_output=True, text=True, env=environment()
    ).stdout.strip()


@pytest.fixture
def patched(checkout, tmp_path):
    """Variant `two` with a series `work` of five patches; each changes a line of its own."""
    patches = built_from_source(checkout, "series: [before, work]")
    for name, lines in (("before", (1,)), ("work", (3, 7, 11, 15, 19))):
        folder = patches / name
        folder.mkdir()
        text, names = MM if name == "before" else MM.replace("line 1\n", "LINE 1\n"), []
        for number, line in enumerate(lines, 1):
            new = text.replace(f"line {line}\n", f"LINE {line}\n")
            (folder / "old").write_text(text)
            (folder / "new").write_text(new)
            argv = ["diff", "-u", "--label", "a/mm/page.c", "--label", "b/mm/page.c", "old", "new"]
            diff = subprocess.run(argv, cwd=folder, capture_output=True, text=True).stdout
            names.append(f"{number:04}-line-{line}.patch")
            (folder / names[-1]).write_text(f"Subject: line {line}\n---\n\n{diff}")
            text = new
        (folder / "series").write_text("\n".join(names) + "\n")
    return checkout


@pytest.fixture
def tree(tmp_path):
    """A kernel tree of eight commits; the sixth one cannot take the series `before`."""
    folder = tmp_path / "linux"
    (folder / "mm").mkdir(parents=True)
    git(tmp_path, "init", "-q", "-b", "master", str(folder))
    (folder / "Makefile").write_text(MAKEFILE)
    for number in range(8):
        text = MM.replace("line 1\n", "gone\n") if number == 5 else MM
        (folder / "mm/page.c").write_text(text)
        (folder / "number").write_text(f"number {number}\n")
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", f"commit {number}")
    return folder


@pytest.fixture
def played(monkeypatch):
    """Plays build and boot: `values` maps what a tree contains to its figure, none: no boot."""
    values, asked = {}, []

    def measure(question, point):
        asked.append(point.name)
        if point.tree is None:
            return Trial(point, None, point.problem)
        repository = point.source.repository
        text = (repository.read(point.tree, "mm/page.c") or "") + (
            repository.read(point.tree, "number") or ""
        )
        found = [value for key, value in values.items() if key in text]
        return Trial(point, found[-1], "" if found[-1] else "panic: played")

    monkeypatch.setattr(trial, "measure", measure)
    return values, asked


def bisect(*words: str, threshold: str = "1.1x") -> int:
    return main(["bisect", *words, *ASK, "--above", threshold])


def test_the_patch_of_a_series_is_found(patched, played, capfd):
    values, asked = played
    values |= {"line": 100, "LINE 11": 150}
    assert bisect("--series", "work", "--variant", "two", "--json") == 0
    said = json.loads(capfd.readouterr().out)
    assert said["suspects"] == ["0003-line-11.patch"]
    assert len(asked) <= 5
    assert asked[0] == "before work"


def test_patches_that_do_not_boot_leave_several_suspects(patched, played, capfd):
    values, _ = played
    values |= {"line": 100, "LINE 11": None, "LINE 15": 150}
    assert bisect("--series", "work", "--variant", "two") == 1
    said = capfd.readouterr().out
    assert "one of these" in said
    assert "0003-line-11.patch, 0004-line-15.patch" in said
    assert "panic: played" in said


def test_a_series_that_moves_nothing_and_one_that_starts_bad(patched, played, capfd):
    values, _ = played
    values |= {"line": 100}
    assert bisect("--series", "work", "--variant", "two") == 1
    assert "nothing moved" in capfd.readouterr().out
    assert bisect("--series", "work", "--variant", "two", threshold="50") == 2
    assert "the good end is not good: 100" in capfd.readouterr().err
    assert bisect("--series", "nope", "--variant", "two") == 2
    assert "it has: before, work" in capfd.readouterr().err


def test_the_commit_of_a_range_is_found_with_the_series_on_top(patched, played, tree, capfd):
    values, _ = played
    values |= {"LINE 1": 100, "number 7": 160}
    text = (patched / "kernel-patches/variants/two.yaml").read_text()
    (patched / "kernel-patches/variants/two.yaml").write_text(text.replace(", work", ""))
    objects = sorted(path for path in (tree / ".git").rglob("*") if path.is_file())
    assert bisect("--range", "HEAD~7..HEAD", "--tree", str(tree), "--variant", "two") == 0
    assert "commit 7" in capfd.readouterr().out.splitlines()[-1]
    assert sorted(path for path in (tree / ".git").rglob("*") if path.is_file()) == objects
    assert bisect("--range", "HEAD..HEAD", "--tree", str(tree), "--variant", "two") == 2
    assert bisect("--range", "no..HEAD", "--tree", str(tree), "--variant", "two") == 2
    assert bisect("--range", "HEAD~1..HEAD", "--tree", "/", "--variant", "two") == 2


def test_a_commit_that_does_not_take_the_series_is_skipped(patched, played, tree, capfd):
    values, _ = played
    values |= {"LINE 1": 100, "number 6": 160, "number 7": 160}
    text = (patched / "kernel-patches/variants/two.yaml").read_text()
    (patched / "kernel-patches/variants/two.yaml").write_text(text.replace(", work", ""))
    assert bisect("--range", "HEAD~7..HEAD", "--tree", str(tree), "--variant", "two") == 1
    said = capfd.readouterr().out
    assert "does not apply to 6.12.1" in said
    last = said.splitlines()[-1]
    assert "commit 5" in last
    assert "commit 6" in last


def test_a_step_answers_what_git_bisect_run_asks(patched, played, tree, monkeypatch, capfd):
    values, _ = played
    values |= {"LINE 1": 100, "number 7": 160}
    text = (patched / "kernel-patches/variants/two.yaml").read_text()
    (patched / "kernel-patches/variants/two.yaml").write_text(text.replace(", work", ""))
    step = ("step", "--tree", str(tree), "--variant", "two")
    assert bisect(*step, threshold="120") == 1
    assert bisect(*step, "--good", "HEAD~7") == 1
    assert bisect(*step, threshold="200") == 0
    git(tree, "checkout", "-q", "HEAD~2")
    assert bisect(*step, threshold="120") == 125
    assert bisect(*step) == 255, "a factor without the good end: git must not take it for bad"

    def full(*_: object) -> Trial:
        raise HostError("No space left on device")

    monkeypatch.setattr(trial, "measure", full)
    assert bisect(*step, threshold="120") == 255
    assert "No space left" in capfd.readouterr().err


def test_git_bisect_run_comes_to_the_same_commit(patched, tree, tmp_path):
    """git's own search, with a step that is played by a script with our statuses."""
    program = tmp_path / "step"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\nfrom harness.bisect import STATUS\n"
        "number = int(Path('number').read_text().split()[1])\n"
        "sys.exit(STATUS['skip' if number == 3 else 'bad' if number >= 5 else 'good'])\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    git(tree, "bisect", "start", "HEAD", "HEAD~7")
    assert "commit 5" in git(tree, "bisect", "run", str(program))


def test_trees_of_a_range_do_not_share_what_was_applied(patched, tree, tmp_path):
    """The same series on two commits makes two trees."""

    place = Project(patched, tmp_path / "cache")
    variant = place.variant("two").model_copy(update={"series": ("before",)})
    line = CommitRange.open(tree, place.cache)
    asked = Question(place, variant, "small", "memmap_init", tmp_path)
    first, second = (line.point(f"HEAD~{n}", asked) for n in (1, 4))
    assert first.tree
    assert second.tree
    assert first.tree != second.tree
    assert line.own.read(second.tree, "number") == "number 3\n"


@pytest.fixture
def question(checkout):
    """A question and a point of it, whose kernel is in the store."""
    project = lay_sources(checkout, ("work",))
    variant = project.variant("work")
    kernels = keep(project, variant)
    limits = Timeouts(silence_s=1, progress_s=1.5, grace_s=0.1)
    asked = Question(project, variant, "small", "memmap_init", checkout / "results", limits=limits)
    return asked, Point("a tree", kernels.base, kernels.tree(variant).tree)


def test_a_point_is_measured_once_and_again_where_its_record_is_torn(question):
    first = measure(*question)
    assert first.value
    (record,) = question[0].results.glob("bisect/*/runs/*/*/*/*/run.json")
    before = record.read_bytes()
    assert measure(*question) == first
    assert record.read_bytes() == before
    torn(record)
    assert measure(*question).value == first.value
    assert json.loads(record.read_bytes())["attempt"] == 2


def test_a_point_whose_record_is_of_another_schema_cannot_be_judged(question):
    measure(*question)
    (record,) = question[0].results.glob("bisect/*/runs/*/*/*/*/run.json")
    foreign(record)
    found = measure(*question)
    assert found.value is None
    assert "run.json: schema version 999" in found.reason


def test_a_point_that_does_not_boot_cannot_be_judged(question, monkeypatch):
    monkeypatch.setenv("FAKE_QEMU", "panic")
    found = measure(*question)
    assert (found.value, found.reason.split(":")[0]) == (None, "panic")


def test_a_boot_that_fails_is_bad_only_where_that_is_asked(question, monkeypatch):
    monkeypatch.setenv("FAKE_QEMU", "panic")
    found = measure(*question)
    assert Threshold(fails=True).judge(found, None) == "bad"
    assert Threshold(factor=1.1).judge(found, 100) == "skip"
    monkeypatch.setenv("FAKE_QEMU", "killed")
    shot = measure(replace(question[0], results=question[0].results / "more"), question[1])
    assert shot.value is None
    assert Threshold(fails=True).judge(shot, None) == "skip"


def test_a_series_is_searched_behind_its_last_good_patch(patched, played, capfd):
    values, asked = played
    values |= {"line": 100, "LINE 3": 150, "LINE 15": 200}
    words = ("--series", "work", "--variant", "two", "--good", "0002-line-7.patch")
    assert bisect(*words) == 0
    assert "the first bad one: 0004-line-15.patch" in capfd.readouterr().out
    assert "before work" not in asked
    assert bisect(*words[:-1], "nope") == 2
    assert "it has: 0001-line-3.patch" in capfd.readouterr().err


def test_a_night_runs_down_what_regressed(patched, played, capfd, monkeypatch):
    """Once: what was found stays beside the report, with the functions that explain it."""

    def profiled(question, point):
        own = 10 if point.name == "0003-line-11.patch" else 60
        return Profile((Node(0, "start_kernel", 5, 1), Node(1, "memmap_init", own, 1)))

    monkeypatch.setattr(trial, "profiled", profiled)
    values, asked = played
    values |= {"line": 100, "LINE 3": 150, "LINE 15": 200}
    year = Year(nights=2, variants=("two",), counts={"memmap_init": 150}, steps=STEPS)
    names = ("0001-line-3", "0002-line-7", "0003-line-11", "0004-line-15", "0005-line-19")
    whole = ("before/0001-line-1.patch 1", *(f"work/{name}.patch 2" for name in names))
    for night, patches in zip(make(year), (whole[:3], whole), strict=True):
        figures = [f.model_copy(update={"value": f.value * 1e6}) for f in night.figures]
        known = {"figures": tuple(figures), "patches": {"two": patches}, "number": 0}
        History(Path("results/nightly/history")).append(night.model_copy(update=known))
    assert main(["nightly", "--report"]) == 1
    said = capfd.readouterr().out
    assert "harness bisect --series work --good 0002-line-7.patch --newest" in said
    assert "1 regressed, 0 improved, 0 unchanged" in said
    assert main(["nightly", "--report", "--bisect", "--json"]) == 1
    (found,) = json.loads(capfd.readouterr().out)["bisections"]
    assert found["found"].startswith("the first bad one: 0004-line-15.patch; by function, +50")
    assert "memmap_init" in found["found"]
    count = len(asked)
    assert main(["nightly", "--report"]) == 1
    assert len(asked) == count
    assert "the first bad one: 0004-line-15.patch" in capfd.readouterr().out
