# SPDX-License-Identifier: GPL-2.0-only
"""What --json prints is what docs/schemas says; the man page is what the parser says."""

import argparse
import json
import re
import shutil
import subprocess
import sys

import jsonschema
import pexpect
import pytest

from harness.cli import COMMANDS, main, parser
from harness.cli.answers import ANSWERS
from tests.support.checkout import ROOT
from tests.support.store import keep, lay_sources

LOG = ROOT / "tests/golden/console/grow-1t.log"


def schema(command):
    return json.loads((ROOT / f"docs/schemas/{command}.schema.json").read_text())


def has_json(each):
    below = [a for a in each._actions if isinstance(a, argparse._SubParsersAction)]
    commands = [command for action in below for command in action.choices.values()]
    return "--json" in each.format_usage() or any(map(has_json, commands))


def with_json():
    (commands,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return {name for name, each in commands.choices.items() if has_json(each)}


def test_each_command_that_prints_json_has_a_schema_that_is_one():
    assert with_json() == set(ANSWERS) <= set(COMMANDS)
    for command in ANSWERS:
        jsonschema.Draft202012Validator.check_schema(schema(command))


def test_man_page_and_schemas_are_what_the_code_says():
    argv = [sys.executable, str(ROOT / "tools/cli-docs"), "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("man"), reason="no man")
def test_man_renders_the_page_without_a_warning():
    argv = ["man", "--warnings", "-l", str(ROOT / "docs/harness.1")]
    done = subprocess.run(
        argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, start_new_session=True,
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MANPAGER": "cat"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "HARNESS NIGHTLY" in done.stdout
    for command in COMMANDS:
        assert f"harness {command}" in done.stdout


ASKED = [
    ("plan", "pair"),
    ("doctor",),
    ("boot", "one", "small"),
    ("run", "pair", "--fresh"),
    ("status", "results/pair"),
    ("collate", "results/pair"),
    ("compare", "results/pair"),
    ("limit", "one"),
    ("parse", str(LOG)),
    ("build", "work"),
    ("nightly", "pair", "--no-update", "--date", "2026-11-20"),
    ("nightly", "--report"),
    ("nightly", "--prune", "--days", "0"),
    ("bisect", "--series", "change", "--variant", "work", "--machine", "small",
     "--metric", "memmap_init", "--above", "1.1x"),
]  # fmt: skip


def test_every_answer_is_what_its_schema_says(ran, capfd, monkeypatch):
    root = ran.parents[2]
    project = lay_sources(root, ("work",))
    (root / "kernel-patches/change").mkdir()
    (root / "kernel-patches/change/series").write_text("")
    file = root / "kernel-patches/variants/work.yaml"
    file.write_text(file.read_text() + "series: [change]\n")
    keep(project, project.variant("work"))
    said = set()
    for command, *words in ASKED:
        capfd.readouterr()
        status = main([command, *words, "--json"])
        out = capfd.readouterr()
        assert status in (0, 1), (command, out.err)
        jsonschema.validate(json.loads(out.out), schema(command))
        said.add(command)
    assert said == {command for command, *_ in ASKED}


WARNED = """
import logging
from harness.cli.terminal import show_log
show_log()
logging.getLogger("harness").warning("seen")
"""


def test_no_color_is_heeded_in_a_terminal(tmp_path):
    (tmp_path / "warn.py").write_text(WARNED)

    def shown(**more):
        known = {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
        line = f"{sys.executable} {tmp_path / 'warn.py'}"
        return pexpect.run(line, env=known | more, timeout=60)

    colours = re.compile(rb"\x1b\[[0-9;]*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[0-9;]*m")
    assert colours.search(shown())
    assert b"seen" in shown(NO_COLOR="1")
    assert not colours.search(shown(NO_COLOR="1"))
