# SPDX-License-Identifier: GPL-2.0-only
"""A worker on a host: it lives as long as somebody is at the other end, and keeps no secret."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("distributed")

from distributed import Security

from harness.hosts import worker

ARGV = [sys.executable, "-m", "harness.hosts.worker"]


def settings(scheduler):
    """What the first line says; `scheduler` is where nobody or somebody listens."""
    tls = Security.temporary().get_tls_config_for_role("worker")
    names = {"ca_file": "tls_ca_file", "cert": "tls_worker_cert", "key": "tls_worker_key"}
    return {
        "scheduler": scheduler,
        "contact": "tls://127.0.0.1:1",
        "resources": {"host": 1},
        "identity": {word: tls[name] for name, word in names.items()},
    }


@pytest.fixture
def start(tmp_path):
    """Starts one in a home of its own."""
    started = []

    def run():
        env = {**os.environ, "HOME": str(tmp_path)}
        pipe = subprocess.PIPE
        process = subprocess.Popen(ARGV, env=env, stdin=pipe, stdout=pipe, stderr=pipe)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_line_that_is_none_ends_it_and_its_last_words_are_passed_on(start, tmp_path):
    process = start()
    assert process.stdin and process.stderr
    process.stdin.write(b"[]\n")
    process.stdin.flush()
    assert process.wait(60) == 0
    assert b"TypeError" in process.stderr.read()
    log = tmp_path / ".cache/pageinit/hosts/worker.log"
    assert log.stat().st_mode & 0o777 == 0o600


def test_it_ends_where_nobody_speaks_to_it_any_more(start, tmp_path):
    """Its scheduler is silent, and then the input ends."""
    process = start()
    assert process.stdin
    process.stdin.write(json.dumps(settings("tls://127.0.0.1:1")).encode() + b"\n")
    process.stdin.flush()
    end = time.monotonic() + 60
    while not (below := children(process.pid)):
        assert time.monotonic() < end
        time.sleep(0.02)
    process.stdin.close()
    process.wait(60)
    assert not any(Path(f"/proc/{pid}").exists() for pid in below)
    secret = settings("x")["identity"]["tls_worker_key"].splitlines()[0].encode()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if secret in path.read_bytes()]


def test_a_boot_beside_it_is_not_disturbed():
    """No profiler, no page, no memory manager that would pause or end it."""
    assert worker.SETTINGS["distributed.worker.profile.enabled"] is False
    memory = {k: v for k, v in worker.SETTINGS.items() if ".memory." in k}
    assert len(memory) == 4 and not any(memory.values())
