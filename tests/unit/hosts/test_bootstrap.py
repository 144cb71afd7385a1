# SPDX-License-Identifier: GPL-2.0-only
"""The code of the harness on its way to a host, and what a host says of it."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from harness.errors import RemoteError
from harness.hosts import bootstrap
from harness.hosts.bootstrap import MARK, install
from harness.hosts.inventory import Host
from harness.ssh import Done

ROOT = Path(__file__).parents[3]
HOST = Host.parse({"address": "a", "user": "u", "memory": "4GiB", "cores": 2}, "host")
HERE = HOST.model_copy(update={"python": "/usr/bin/python3"})


class Says:
    """A connection to a host that answers each command with the same words."""

    def __init__(self, said, status=0):
        self.done, self.commands = Done(status, said, b"oh \x1b[31mno"), []

    def run(self, argv, *, stdin=b"", limit_s=None):
        self.commands.append(argv)
        return self.done


def home(there=(), before=b""):
    return before + MARK.encode() + json.dumps(["/home/u/x", list(there)]).encode() + b"\n"


def test_what_a_host_lacks_is_brought(tmp_path):
    venv = [name for name in ("python3", "pip", "touch") for _ in (0,)]
    bare = Says(home())
    words = install(bare, HOST)
    assert [Path(argv[0]).name for argv in bare.commands] == ["python3", "python3", *venv]
    assert words[1] == f"PYTHONPATH=/home/u/x/code-{bootstrap.code()}" and "/venv-" in words[2]
    ready = Path(words[2]).parents[1].name
    full = Says(home([f"code-{bootstrap.code()}", f"{ready}/ready"], b"Welcome!\n"))
    assert install(full, HOST) == words and len(full.commands) == 1
    named = Says(home())
    assert install(named, HERE)[2] == "/usr/bin/python3" and len(named.commands) == 2


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"Welcome!\n",
        MARK.encode() + b"[" * 100_000,
        MARK.encode() + b'["relative", []]',
        MARK.encode() + b'["/a\\nb", []]',
        MARK.encode() + b'"/home"',
        MARK.encode() + b"{}",
        MARK.encode() + b"\xff",
    ],
)
def test_what_is_no_answer_is_named(said):
    with pytest.raises(RemoteError, match="does not say where its files are"):
        install(Says(said), HOST)


def test_what_fails_there_is_said_without_control_characters():
    with pytest.raises(RemoteError, match="exit status 1: oh \N{REPLACEMENT CHARACTER}\\[31mno"):
        install(Says(home(), status=1), HOST)


def test_the_code_is_all_of_it_and_has_one_hash_wherever_it_lies(tmp_path):
    with zipfile.ZipFile(io.BytesIO(bootstrap._archive())) as archive:
        archive.extractall(tmp_path / "x")
    for path in (ROOT / "harness").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert (tmp_path / "x" / path.relative_to(ROOT)).read_bytes() == path.read_bytes()
    code = "from harness.hosts.bootstrap import code; print(code())"
    env = {"PYTHONPATH": str(tmp_path / "x")}
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == bootstrap.code(), done.stderr


def test_what_boots_on_a_host_needs_no_more_than_is_installed_there():
    code = """if True:
        import sys

        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in sys.argv[1:]:
                    raise ModuleNotFoundError(name)

        sys.meta_path.insert(0, Missing())
        import harness.hosts.block, harness.hosts.supervisor, harness.hosts.worker
        import harness.boot.boot, harness.parse.evidence, harness.run.local
    """
    others = ("paramiko", "pexpect", "pandas", "altair", "rich", "jinja2", "scipy", "ruptures")
    subprocess.run([sys.executable, "-c", code, *others], cwd=ROOT, check=True)
