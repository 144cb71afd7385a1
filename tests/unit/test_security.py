# SPDX-License-Identifier: GPL-2.0-only
"""What docs/security.md promises of the code as a whole; each of its lines names a test."""

import ast
import io
import re
import tarfile

import pytest

from harness.errors import SourceError
from harness.kernel.git import Repository
from tests.support.checkout import ROOT

SOURCES = sorted((ROOT / "harness").rglob("*.py"))
FORBIDDEN = {
    *("eval", "exec", "compile", "__import__"),
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load", "pickle.load", "pickle.loads"),
    *("marshal.loads", "tempfile.mktemp", "shutil.unpack_archive"),
}


def calls(path):
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_no_shell_no_code_from_data_no_unsafe_loader(path):
    for call in calls(path):
        name = ast.unparse(call.func)
        assert name not in FORBIDDEN, f"{path.name}:{call.lineno}: {name}"
        words = {word.arg: ast.unparse(word.value) for word in call.keywords}
        assert words.get("shell", "False") == "False", f"{path.name}:{call.lineno}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_programs_are_lists_never_one_string(path):
    """A string would be split, or be the name of a program that data has chosen."""
    for call in calls(path):
        if ast.unparse(call.func) in ("subprocess.run", "subprocess.Popen", "tool.run"):
            first = call.args[0]
            text = isinstance(first, ast.JoinedStr | ast.BinOp) or (
                isinstance(first, ast.Constant) and isinstance(first.value, str)
            )
            assert not text, f"{path.name}:{call.lineno}"


def archive(*members):
    """A tar archive of members (name, kind, target)."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member, io.BytesIO())
    file.seek(0)
    return tarfile.open(fileobj=file)


@pytest.mark.parametrize(
    "member",
    [
        ("linux/../../etc/passwd", tarfile.REGTYPE, ""),
        ("/etc/passwd", tarfile.REGTYPE, ""),
        ("../x", tarfile.REGTYPE, ""),
        ("other/x", tarfile.REGTYPE, ""),
        ("linux/x\nM 100644 inline y", tarfile.REGTYPE, ""),
        ("linux/x", tarfile.LNKTYPE, "linux/a\nD b"),
        ("linux/x", tarfile.CHRTYPE, ""),
        ("linux/x", tarfile.FIFOTYPE, ""),
    ],
)
def test_no_member_of_an_archive_leaves_its_folder(tmp_path, member):
    repository = Repository.create(tmp_path / "r.git")
    with (
        archive(("linux/Makefile", tarfile.REGTYPE, ""), member) as tar,
        pytest.raises(SourceError),
    ):
        repository.import_tar(tar)


def test_every_line_of_the_threat_model_names_a_test_that_is_there():
    text = (ROOT / "docs/security.md").read_text()
    table = text.partition("## Threats")[2].partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(lines) > 30
    for line in lines:
        named = re.findall(r"`([\w/]+)::(\w+)`", line)
        assert named, line
        for file, test in named:
            path = ROOT / f"tests/{file}.py"
            assert re.search(rf"^(?:async )?def {test}\(", path.read_text(), re.M), (
                f"{file}::{test}"
            )
