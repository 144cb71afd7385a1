# SPDX-License-Identifier: GPL-2.0-only
"""Mutants: ``python -m bench.mutants`` sends series with one fault each through the gate.

A mutant of mutants.yaml is a variant whose source has one place changed: a line left out, a bound
off by one. The gate has to find it, on one of the two builds or, where both pass, in a scenario.
What each check has found is added to FILE. All happens in a project laid out for it, where the
mutants are series as any other. Exit status 1 where a mutant was not found.
"""

from __future__ import annotations

import argparse
import difflib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from harness.files import write_atomic
from harness.kernel import Kernels
from harness.model import Model
from harness.project import Project

ROOT = Path(__file__).resolve().parents[1]
MUTANTS = Path(__file__).with_suffix(".yaml")
FILE = ROOT / "bench/results/mutants.json"
AT_ONCE = 6
"""Mutants of one start of the gate, which boots `eager` to compare with each time."""


class Mutant(Model):
    """One fault: where `text` stands, which is there once, stands `becomes`."""

    name: str
    variant: str
    base: str
    file: str
    text: str
    becomes: str
    fault: str
    """what is wrong then"""

    def mutate(self, source: str) -> str:
        """The file with the fault; raises `ValueError` where the text is not there once."""
        if (found := source.count(self.text)) != 1:
            raise ValueError(f"{self.name}: the text is {found} times in {self.file}")
        return source.replace(self.text, self.becomes)

    def patch(self, source: str) -> str:
        """A mail with the fault in it, as `git am` takes it."""
        pair = source.splitlines(keepends=True), self.mutate(source).splitlines(keepends=True)
        names = f"a/{self.file}", f"b/{self.file}"
        head = (
            f"From {'0' * 40} Mon Sep 17 00:00:00 2001\nFrom: pageinit <pageinit@localhost>\n"
            f"Date: Tue, 1 Dec 2026 00:00:00 +0000\nSubject: [PATCH] {self.name}\n\n{self.fault}\n"
            f"---\n\ndiff --git {' '.join(names)}\n"
        )
        return head + "".join(difflib.unified_diff(*pair, *names)) + "-- \n2.39.5\n"


@dataclass(frozen=True)
class Found:
    """What the gate said of a mutant."""

    name: str
    variant: str
    base: str
    fault: str
    checks: dict[str, list[str]]
    """build or scenario to the checks that failed; empty where the mutant was not found"""


def mutants(names: Sequence[str] = ()) -> list[Mutant]:
    """Those of mutants.yaml, or those named; raises `ValueError` for one that is not there."""
    found = [Mutant.model_validate(item) for item in yaml.safe_load(MUTANTS.read_text())]
    if unknown := set(names) - {each.name for each in found}:
        raise ValueError(f"no such mutant: {', '.join(sorted(unknown))}")
    return [each for each in found if not names or each.name in names]


def lay(project: Project, mutant: Mutant) -> None:
    """Puts a mutant into a project, as a variant and its last series."""
    variant, kernels = project.variant(mutant.variant), Kernels(project).at(mutant.base)
    source = kernels.base.repository.read(kernels.tree(variant).tree, mutant.file)
    if source is None:
        raise ValueError(f"{mutant.name}: no {mutant.file}")
    folder = project.patches / f"mutant-{mutant.name}"
    folder.mkdir()
    (folder / "0001-mutant.patch").write_text(mutant.patch(source))
    (folder / "series").write_text("0001-mutant.patch\n")
    file = project.patches / "variants" / f"{mutant.variant}.yaml"
    told = yaml.safe_load(file.read_text())
    told |= {"role": "broken", "claims": [], "series": [*told["series"], folder.name]}
    told.pop("known_failures", None)
    file.with_name(f"{mutant.name}.yaml").write_text(yaml.safe_dump(told))


def prove(root: Path, found: Sequence[Mutant], *words: str) -> dict[str, dict[str, list[str]]]:
    """What fails of each mutant, by build; all of one base."""
    argv = [sys.executable, "-m", "harness", "gate", *(each.name for each in found)]
    argv += ["--base", found[0].base, "--json", *words]
    done = subprocess.run(argv, cwd=root, stdout=subprocess.PIPE, text=True, check=False)
    failed: dict[str, dict[str, list[str]]] = {each.name: {} for each in found}
    for row in json.loads(done.stdout)["checks"]:
        name = row["variant"].partition("@")[0]
        if row["result"] == "fail" and name in failed:
            failed[name].setdefault(row["build"], []).append(row["check"])
    return failed


def campaign(root: Path, asked: Sequence[Mutant]) -> Iterator[Found]:
    """Each mutant through the gate, and through its scenarios where that did not find it."""
    project = Project.find(ROOT).lay_out(root)
    for mutant in asked:
        lay(project, mutant)
    for base in dict.fromkeys(each.base for each in asked):
        mine = [each for each in asked if each.base == base]
        for first in range(0, len(mine), AT_ONCE):
            some = mine[first : first + AT_ONCE]
            failed = prove(root, some)
            if left := [each for each in some if not failed[each.name]]:
                failed |= prove(root, left, "--scenarios")
            for each in some:
                yield Found(each.name, each.variant, base, each.fault, failed[each.name])
            shutil.rmtree(root / "results", ignore_errors=True)


def main() -> int:
    """Proves the mutants, and says which check has found which."""
    parser = argparse.ArgumentParser(prog="python -m bench.mutants", description=__doc__)
    parser.add_argument("mutants", nargs="*", metavar="NAME", help="default: all of mutants.yaml")
    parser.add_argument("--json", type=Path, metavar="FILE", help=f"as {FILE.relative_to(ROOT)}")
    asked = parser.parse_args()
    missed = 0
    with tempfile.TemporaryDirectory(prefix="mutants-", dir="/var/tmp") as folder:
        for found in campaign(Path(folder) / "lab", mutants(asked.mutants)):
            missed += not found.checks
            said = "; ".join(f"{build}: {', '.join(c)}" for build, c in found.checks.items())
            print(f"{found.name}: {said or 'NOT FOUND'}", flush=True)
            if asked.json:
                known = json.loads(asked.json.read_text()) if asked.json.is_file() else {}
                known[found.name] = {k: v for k, v in asdict(found).items() if k != "name"}
                write_atomic(asked.json, json.dumps(dict(sorted(known.items())), indent=1) + "\n")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
