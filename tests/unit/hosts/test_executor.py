# SPDX-License-Identifier: GPL-2.0-only
"""Blocks as tasks: each is booted once, on a host that fits, and what fails has a name."""

from collections import Counter

import pytest

pytest.importorskip("distributed")

from harness.errors import HarnessError
from harness.hosts.executor import AHEAD, RetryPolicy, last_lost
from harness.results.folder import Results
from harness.results.ledger import Fate, Ledger, LedgerEntry
from tests.support.checkout import ROOT
from tests.support.workers import LENT, Told, Workers, boot_all, good, setting_of, told_to_begin


@pytest.fixture
def setting(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return setting_of(tmp_path, ROOT)


def broken(host, name, text):
    """A host called `bad` fails at whatever it is asked."""
    if host == "bad":
        told_to_begin(name)
        raise OSError("no space left on \x1b[31mdevice")
    return good(host, name, text)


def rubbish(host, name, text):
    """One that brings something else."""
    if host == "bad":
        told_to_begin(name)
        return b"no archive"
    return good(host, name, text)


def test_every_block_is_booted_once_and_is_in_the_ledger(setting):
    told = boot_all(setting, Workers({"one": LENT, "two": LENT}))
    assert told.counted == 12
    assert Counter(fate for *_, fate in told.ledger) == {"done": 6}
    assert len({block for block, *_ in told.ledger}) == 6
    assert {host for _, host, _ in told.ledger} == {"one", "two"}


def test_what_is_done_is_not_asked_for_again(setting):
    boot_all(setting, Workers({"one": LENT}))
    again = boot_all(setting, Workers({}))
    assert again.counted == 12 and len(again.ledger) == 6


def test_a_block_goes_to_a_host_that_lends_enough(setting):
    small = LENT | {"memory": 1}
    told = boot_all(setting, Workers({"small": small, "big": LENT}))
    assert told.counted == 12 and {host for _, host, _ in told.ledger} == {"big"}


@pytest.mark.parametrize("answer", [broken, rubbish])
def test_a_host_that_fails_is_set_aside_and_costs_the_others_nothing(setting, answer):
    told = boot_all(setting, Workers({"bad": LENT, "one": LENT}), answer, blocks=8)
    assert told.counted == 16
    fates = Counter((host, fate) for _, host, fate in told.ledger)
    assert fates["one", "done"] == 8 and 1 <= fates["bad", "failed"] <= 3 + AHEAD
    assert ("bad" in told.source.dropped) == (fates["bad", "failed"] >= 3)
    assert all(detail.isprintable() for detail in told.details)
    word = "no space left on" if answer is broken else "sends damaged results"
    assert sum(word in detail for detail in told.details) >= 1


def test_a_block_that_failed_is_tried_elsewhere_first(setting):
    failed = setting.scratch / "failed"

    def once(host, name, text):
        if not failed.exists():
            failed.touch()
            told_to_begin(name)
            raise OSError("once")
        return good(host, name, text)

    told = boot_all(setting, Workers({"one": LENT, "two": LENT}), once, blocks=2)
    (block, first, _) = next(entry for entry in told.ledger if entry[2] == "failed")
    (second,) = [host for key, host, fate in told.ledger if (key, fate) == (block, "done")]
    assert {first, second} == {"one", "two"}


def test_what_no_host_can_boot_is_named_and_the_ledger_says_why(setting):
    def never(host, name, text):
        told_to_begin(name)
        raise OSError("never")

    policy = RetryPolicy(attempts=2, failures=99, margin_s=20)
    with pytest.raises(HarnessError, match=r"2 block\(s\) could not be booted anywhere"):
        boot_all(setting, Workers({"one": LENT}), never, blocks=2, policy=policy)
    entries, _ = Ledger(setting.scratch / "results").read()
    assert Counter(str(e.fate) for e in entries if e.fate) == {"failed": 4}
    assert Told(Workers({}), Results(setting.scratch / "results"), []).counted == 0


def test_a_host_begins_after_the_ledger_has_it(setting):
    folder = setting.scratch

    def look(host, name, text):
        answer = good(host, name, text)
        entries, _ = Ledger(folder / "results").read()
        if any(e.task == name and e.host == host and not e.fate for e in entries):
            (folder / f"seen-{name}").touch()
        return answer

    assert boot_all(setting, Workers({"one": LENT}), look, blocks=2).counted == 4
    assert len(list(folder.glob("seen-*"))) == 2


def entry(block, attempt, fate, task="t"):
    return LedgerEntry(at_utc="", block=block, attempt=attempt, host="h", fate=fate, task=task)


def test_what_was_lost_last_is_asked_for_again():
    entries = [
        entry("a", 1, None),
        entry("a", 1, Fate.LOST),
        entry("b", 1, Fate.LOST),
        entry("b", 2, Fate.DONE),
        entry("c", 1, Fate.DONE),
        entry("c", 2, Fate.LOST),
        entry("d", 1, Fate.LOST, task=""),
    ]
    assert {block: e.attempt for block, e in last_lost(entries).items()} == {"a": 1, "c": 2}
