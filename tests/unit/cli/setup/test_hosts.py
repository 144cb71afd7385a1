# SPDX-License-Identifier: GPL-2.0-only
"""``harness hosts``, and the words that have an experiment boot elsewhere."""

import argparse
import json

import pytest

from harness.cli import main
from harness.cli.setup.hosts import add_hosts, executor_of
from harness.errors import UserError
from harness.hosts import Jobs, SchedulerFile, SSHHosts
from tests.support.checkout import ROOT

INVENTORY = """
hosts:
  one: {address: 127.0.0.1, port: 1, user: u, memory: 4GiB, cores: 2}
  two: {address: 127.0.0.1, port: 1, user: u, memory: 4GiB, cores: 2}
"""


def asked(*words):
    parser = argparse.ArgumentParser()
    add_hosts(parser)
    return parser.parse_args(words)


@pytest.fixture
def inventory(tmp_path):
    path = tmp_path / "hosts.yaml"
    path.write_text(f"known_hosts: {tmp_path}/known{INVENTORY}")
    return str(path)


def test_without_a_word_boots_are_here():
    assert executor_of(asked()) is None


def test_each_word_is_a_source_of_workers(inventory, tmp_path):
    (tmp_path / "scheduler.json").write_text("{}")
    for words, kind in (
        (("--hosts", inventory), SSHHosts),
        (("--cluster", str(ROOT / "tools/clusters/slurm.yaml")), Jobs),
        (("--dask", str(tmp_path / "scheduler.json")), SchedulerFile),
    ):
        assert isinstance(executor_of(asked(*words)).source, kind)


def test_two_sources_are_none(inventory, capsys):
    with pytest.raises(SystemExit):
        asked("--hosts", inventory, "--dask", "x")
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "extra"), [(("--dask", "x"), "dask"), (("--cluster", "x"), "slurm")]
)
def test_what_is_not_installed_is_named(words, extra, monkeypatch):
    for name in ("distributed", "dask_jobqueue"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(UserError, match="is not installed") as error:
        executor_of(asked(*words))
    assert str(error.value).endswith(f"pip install pageinit[{extra}]")


@pytest.mark.parametrize("word", ["--hosts", "--cluster", "--dask"])
def test_a_file_that_is_not_there_is_named(word, tmp_path):
    with pytest.raises(UserError, match=r"none\.yaml"):
        executor_of(asked(word, str(tmp_path / "none.yaml")))


def test_hosts_that_do_not_answer_are_not_fit_and_named(inventory, capfd):
    assert main(["hosts", "check", "--hosts", inventory, "--json"]) == 1
    found = json.loads(capfd.readouterr().out)
    assert [(one["host"], one["fit"], one["failure"]) for one in found] == [
        ("one", False, "unreachable"),
        ("two", False, "unreachable"),
    ]
    assert main(["hosts", "check", "two", "--hosts", inventory]) == 1
    said = capfd.readouterr().out
    assert "two" in said and "unreachable" in said and "one" not in said


def test_a_name_that_the_file_lacks_is_2(inventory, capfd):
    assert main(["hosts", "check", "three", "--hosts", inventory]) == 2
    assert "three" in capfd.readouterr().err
