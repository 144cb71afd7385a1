# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures of all tests: checkouts, and what takes long to make and is made once for all."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest

from harness import host_memory
from harness.cli import main, terminal
from harness.files import filling, locked
from harness.guest import initramfs
from tests.support.checkout import ROOT, environment, lay_checkout, results


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Has a folder filled by whoever needs it first, of all processes that run tests."""
    base = tmp_path_factory.getbasetemp()
    top = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make(name: str, fill: Callable[[Path], None]) -> Path:
        with locked(top / f"{name}.lock"):
            if not (top / name).is_dir():
                with filling(top / name) as part:
                    fill(part)
        return top / name

    return make


@pytest.fixture(autouse=True)
def no_memory_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """To touch all that a boot could meet takes longer than the boots of most tests."""
    monkeypatch.setattr(host_memory, "is_taken_back", lambda: False)


@pytest.fixture(autouse=True)
def answers_are_as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever test has a command print JSON holds it to the schema in docs/schemas."""

    def dumps(value: object, **how: object) -> str:
        command = sys._getframe(2).f_globals["__name__"].rpartition(".")[2].strip("_")
        text = json.dumps(value, **how)
        file = ROOT / f"docs/schemas/{command}.schema.json"
        jsonschema.validate(json.loads(text), json.loads(file.read_text()))
        return text

    monkeypatch.setattr(terminal, "json", SimpleNamespace(dumps=dumps))


@pytest.fixture(scope="session")
def compiled(once) -> Path:
    """A cache with the programs of the guest: to compile them takes longer than most tests."""

    def fill(cache: Path) -> None:
        for make in (initramfs.build, initramfs.entry, initramfs.program):
            make(cache)

    return once("compiled", fill)


@pytest.fixture(scope="session")
def finished(once, compiled) -> Path:
    """A cache and a checkout whose experiment has run."""

    def fill(folder: Path) -> None:
        shutil.copytree(compiled, folder / "cache")
        with pytest.MonkeyPatch.context() as patch:
            enter(patch, lay_checkout(folder / "checkout"), folder / "checkout")
            assert main(["run", "experiments/pair.yaml"]) == 0

    return once("finished", fill)


@pytest.fixture
def checkout(tmp_path: Path, compiled: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One in `tmp_path`, and we are in it."""
    shutil.copytree(compiled, tmp_path / "cache")
    root = tmp_path / "checkout"
    enter(monkeypatch, lay_checkout(root), root)
    return root


@pytest.fixture
def ran(tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The results of an experiment that has run, in such a checkout."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    root = tmp_path / "checkout"
    enter(monkeypatch, environment(root), root)
    return results(root)


def enter(patch: pytest.MonkeyPatch, variables: dict[str, str], root: Path) -> None:
    for name, value in variables.items():
        patch.setenv(name, value)
    patch.chdir(root)
