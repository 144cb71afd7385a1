# SPDX-License-Identifier: GPL-2.0-only
"""What a bare host has: the file that is sent there as it is."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.hosts import doctor, survey
from harness.hosts.doctor import read_answer

SOURCE = Path(survey.__file__)
V1 = "memory/memory."


def test_the_survey_runs_by_itself_on_bare_python():
    argv = [sys.executable, "-I", "-S", "-"]
    done = subprocess.run(argv, input=SOURCE.read_bytes(), capture_output=True, check=True)
    assert read_answer(done.stdout).cpus > 0
    assert len(done.stdout) < doctor.MAX_ANSWER


def test_the_survey_knows_the_standard_library_and_old_syntax_only():
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 7))
    names = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module]
        )
    }
    assert names <= set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    ("files", "room"),
    [
        ({}, 900 << 10),
        ({"memory.max": "max", "memory.current": "5"}, 900 << 10),
        ({"memory.max": "1000", "memory.current": "400"}, 600),
        ({"memory.max": "400", "memory.current": "1000"}, 0),
        (
            {"memory/memory.limit_in_bytes": "9" * 30, "memory/memory.usage_in_bytes": "1"},
            900 << 10,
        ),
        ({f"{V1}limit_in_bytes": "700", f"{V1}usage_in_bytes": "1"}, 699),
    ],
)
def test_the_room_of_a_container_counts(files, room, monkeypatch):
    """What a host says in /proc and in its control groups."""
    said = {f"/sys/fs/cgroup/{name}": f"{text}\n" for name, text in files.items()}
    said["/proc/meminfo"] = "MemTotal:       1000 kB\nMemAvailable:        900 kB\n"
    monkeypatch.setattr(survey, "read", lambda path: said.get(path, ""))
    assert survey.available() == room
    assert survey.meminfo("MemTotal") == 1000 << 10 and survey.meminfo("MemFree") == 0


def test_what_is_not_there_is_said_and_no_end_of_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert survey.qemu() == "" and survey.read(str(tmp_path / "none")) == ""
    program = tmp_path / survey.QEMU
    program.write_text("#!/bin/sh\necho 'QEMU emulator version 7.2.22'; echo Copyright\n")
    program.chmod(0o755)
    assert survey.qemu() == "QEMU emulator version 7.2.22"
    program.write_text("#!/bin/sh\nprintf '%01000d' 0\n")
    assert len(survey.qemu()) == 200


def test_a_device_that_is_no_kvm_is_named(monkeypatch):
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, flags: real("/dev/null", flags))
    assert survey.kvm().startswith("/dev/kvm: ")
