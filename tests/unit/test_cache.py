# SPDX-License-Identifier: GPL-2.0-only
import subprocess
import sys
from pathlib import Path

import pytest

from harness import files, process, project
from harness.errors import HostError


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"PAGEINIT_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, "/c"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/pageinit"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, "/h/.cache/pageinit"),
    ],
)
def test_cache_folder(environ, expected):
    assert project.cache_folder(environ) == Path(expected)


def test_a_folder_gets_its_name_only_when_it_is_whole(tmp_path):
    final = tmp_path / "kernels" / "id"
    with pytest.raises(RuntimeError), files.filling(final) as part:
        (part / "half").write_text("x")
        raise RuntimeError
    assert list(final.parent.iterdir()) == []
    for text in ("one", "two"):
        with files.filling(final) as part:
            (part / "file").write_text(text)
    assert (final / "file").read_text() == "two"
    assert [p.name for p in final.parent.iterdir()] == ["id"]


def test_sweep_removes_what_a_killed_process_left(tmp_path):
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom harness import files\n"
        "with files.filling(Path(sys.argv[1])) as part:\n"
        "    (part / 'half').write_text('x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "final"], check=False)
    assert done.returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    files.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_tool_errors_say_what_to_install_and_what_was_said():
    with pytest.raises(HostError, match="apt-get install flex"):
        raise process.missing("flex")
    with pytest.raises(HostError, match="no-such-program is not installed"):
        process.run(["no-such-program"])
    with pytest.raises(HostError, match="exit status 3:\n  wrong"):
        process.run(["sh", "-c", "echo wrong >&2; exit 3"])
