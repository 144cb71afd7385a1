# SPDX-License-Identifier: GPL-2.0-only
"""How any command ends, whatever it was doing."""

import subprocess
import sys
from types import ModuleType
from typing import Annotated

import pytest
from pydantic import BaseModel, PlainSerializer

from harness.cli import main
from harness.errors import HostError
from tests.support.checkout import ROOT


def stop(_: object) -> None:
    raise KeyboardInterrupt


class Interrupted(BaseModel):
    size: Annotated[int, PlainSerializer(stop, when_used="json")] = 1


ENDS = [
    lambda: stop(None),
    lambda: Interrupted().model_dump(mode="json"),
    lambda: Interrupted().model_dump_json(),
]


@pytest.fixture
def command(monkeypatch):
    """`harness doctor`, doing something else."""

    def doing(action, *words):
        module = ModuleType("harness.cli.setup.doctor")
        module.register = lambda parser: parser.set_defaults(action=lambda _: action())
        monkeypatch.setitem(sys.modules, "harness.cli.setup.doctor", module)
        return main(["doctor", *words])

    return doing


@pytest.mark.parametrize("ends", ENDS)
def test_ctrl_c_is_130_wherever_it_comes(command, capsys, ends):
    assert command(ends) == 130
    assert "interrupted" in capsys.readouterr().err


def test_what_is_no_interrupt_is_not_called_one(command):
    class Broken(BaseModel):
        size: Annotated[int, PlainSerializer(lambda _: 1 / 0, when_used="json")] = 1

    assert command(lambda: Broken().model_dump_json()) == 70


def test_a_bug_is_one_screen_with_the_way_to_a_report(command, capsys):
    def wrong():
        raise KeyError("\x1b]0;x\x07" * 9999 + "\n" * 999)

    assert command(wrong) == 70
    said = capsys.readouterr().err
    assert "this is a bug in the harness" in said and "KeyError" in said
    assert "harness/cli/__init__.py" in said and "CONTRIBUTING.md" in said and "--debug" in said
    assert len(said.splitlines()) < 24 and len(said) < 9999 and "\x1b" not in said
    assert "Traceback" not in said


def test_the_traceback_is_there_on_demand(command, capsys):
    assert command(lambda: 1 / 0, "--debug") == 70
    said = capsys.readouterr().err
    assert "Traceback" in said and "this is a bug" in said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(5, "Input/output error", "/x"), "/x: Input/output error"),
        (MemoryError(), "not enough memory"),
        (PermissionError(13, "Permission denied", "/y"), "/y: Permission denied"),
        (HostError("x\x1b[2J"), "x\N{REPLACEMENT CHARACTER}[2J"),
    ],
)
def test_what_the_system_says_is_no_bug(command, capsys, error, said):
    def wrong():
        raise error

    assert command(wrong) == 2
    shown = capsys.readouterr().err
    assert said in shown and "a bug" not in shown and "Traceback" not in shown


STEP = ["bisect", "step", "--machine", "m", "--metric", "boot", "--above", "1"]


@pytest.mark.parametrize(
    "words", [STEP, STEP[:4], [*STEP, "--no-such"], ["--root", "/nowhere", *STEP]]
)
def test_git_gives_up_where_a_step_is_no_measurement(words, capsys):
    """`git bisect run` takes 1 to 127 for a bad commit."""
    try:
        status = main(words)
    except SystemExit as end:
        status = end.code
    assert status == 255


def test_git_gives_up_at_a_bug(monkeypatch, capsys):
    module = ModuleType("harness.cli.bisect")
    module.register = lambda parser: [
        parser.add_argument("step"),
        parser.set_defaults(action=lambda _: 1 / 0),
    ]
    monkeypatch.setitem(sys.modules, "harness.cli.bisect", module)
    assert main(["bisect", "step"]) == 255


INTERRUPTED = """
import os, signal, sys
class Finder:
    def find_spec(self, name, *rest):
        if name == at:
            os.kill(os.getpid(), signal.SIGINT)
at = sys.argv.pop()
from harness.__main__ import start
sys.meta_path.insert(0, Finder())
sys.exit(start())
"""


@pytest.mark.parametrize(
    "module",
    ["harness.cli", "argparse", "harness.cli.compare", "rich.console", "numpy", "pandas", "scipy"],
)
def test_ctrl_c_while_modules_are_imported(module):
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            INTERRUPTED,
            "compare",
            str(ROOT / "results/reference/quick"),
            module,
        ],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 130
    assert b"Traceback" not in done.stderr


def test_a_terminal_that_is_no_utf_8_costs_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "harness", "status", "grüße ─ \U0001f600"],
        capture_output=True, cwd=tmp_path, check=False,
        env={"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 2 and b"no results here" in done.stderr


@pytest.mark.parametrize("words", [["status", "GOOD"], ["status", "--json", "GOOD"]])
def test_a_reader_who_has_gone_is_one_status(words, tmp_path):
    good = str(ROOT / "results/reference/quick")
    argv = [sys.executable, "-m", "harness", *(w.replace("GOOD", good) for w in words)]
    ends = set()
    for _ in range(2):
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.close()
            said = process.stderr.read()
            ends.add(process.wait())
        assert b"Traceback" not in said and b"Exception ignored" not in said
    assert ends == {2}
