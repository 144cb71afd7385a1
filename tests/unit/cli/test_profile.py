# SPDX-License-Identifier: GPL-2.0-only
"""``harness profile``: what it prints, what it writes, and what it says of wrong words."""

import json

import pytest

from harness.cli import main
from harness.run.profile import Foreign
from tests.support.profiles import EAGER, kernel_of, written


@pytest.fixture
def kernel(checkout):
    """A kernel with a System.map beside it."""
    return Foreign.of(*kernel_of(checkout))


def test_the_command_prints_and_writes(checkout, kernel, monkeypatch, capfd):
    monkeypatch.setenv("FAKE_PROFILE", written(EAGER))
    words = ["profile", "--kernel", "vmlinuz-6.12.0", "--system-map", "System.map", "small"]
    assert main(words) == 0
    said = capfd.readouterr().out
    assert "memmap_init_range  700" in said and "[firmware]" not in said
    files = sorted(path.name for path in (checkout / "results/profile").iterdir())
    name = "vmlinuz-6.12.0-small"
    assert files == [f"callgrind.out.{name}", f"{name}.collapsed", f"{name}.html"]
    first = {path.name: path.read_bytes() for path in (checkout / "results/profile").iterdir()}
    assert main([*words, "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["boots"][0]["instructions"] == 1096 and document["boots"][0]["whole"]
    again = {path.name: path.read_bytes() for path in (checkout / "results/profile").iterdir()}
    assert first == again


def test_usage_is_told(checkout, capfd):
    for words, said in (
        (["one"], "name a VARIANT and a MACHINE"),
        (["--kernel", "one.img"], "name a MACHINE"),
        (["--kernel", "one.img", "small", "x"], "and no more"),
        (["--system-map", "x", "one", "small"], "belongs to --kernel"),
        (["nobody", "small"], "no variant called 'nobody'"),
    ):
        assert main(["profile", *words]) == 2
        assert said in capfd.readouterr().err
