# SPDX-License-Identifier: GPL-2.0-only
"""What a host answers, read as hostile; the survey itself runs anywhere."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import RemoteError
from harness.hosts import survey
from harness.hosts.doctor import Survey, judge, read_answer
from harness.hosts.inventory import Host
from harness.units import GIB

SOURCE = Path(survey.__file__)
HOST = Host.parse({"address": "a", "user": "u", "memory": "4GiB", "cores": 2}, "host")
GOOD = {
    "version": 1,
    "host": "h",
    "machine": "x86_64",
    "kernel": "6.1",
    "cpu": "c",
    "cpus": 4,
    "load_1min": 0.5,
    "memory_bytes": 16 * GIB,
    "available_bytes": 8 * GIB,
    "disk_bytes": 100 * GIB,
    "python": [3, 11, 2],
    "venv": True,
    "qemu": "QEMU emulator version 7.2.22 (Debian)",
    "kvm": "/dev/kvm: No such file or directory",
    "clock_s": 1.7e9,
}


def answer(**keys):
    return f"{survey.MARK}{json.dumps(GOOD | keys)}\n".encode()


def test_the_last_marked_line_counts():
    noise = b"Welcome to lab-7!\n" + answer(cpus=1)
    assert read_answer(noise + answer(cpus=9) + b"bye\n").cpus == 9


def test_a_good_host_passes_every_check():
    assert [c.name for c in judge(HOST, Survey.parse(GOOD, ""), 0.2) if not c.ok] == []


@pytest.mark.parametrize(
    ("keys", "skew", "failed"),
    [
        ({"machine": "aarch64"}, 0, "arch"),
        ({"python": [3, 10, 9]}, 0, "python"),
        ({"venv": False}, 0, "python"),
        ({"qemu": ""}, 0, "qemu"),
        ({"qemu": "QEMU emulator version 5.2.0"}, 0, "qemu"),
        ({"available_bytes": 4 * GIB - 1}, 0, "memory"),
        ({"cpus": 1}, 0, "cores"),
        ({"disk_bytes": GIB}, 0, "disk"),
        ({}, 7200, "clock"),
        ({}, -7200, "clock"),
    ],
)
def test_what_is_missing_is_one_check_with_a_remedy(keys, skew, failed):
    bad = [c for c in judge(HOST, Survey.parse(GOOD | keys, ""), skew) if not c.ok]
    assert [c.name for c in bad] == [failed] and bad[0].remedy


def test_a_host_that_is_said_to_have_kvm_has_to_have_it():
    host = HOST.model_copy(update={"accel": "kvm"})
    assert [c.name for c in judge(host, Survey.parse(GOOD, ""), 0) if not c.ok] == ["accel"]
    assert all(c.ok for c in judge(host, Survey.parse(GOOD | {"kvm": ""}, ""), 0))


@pytest.mark.parametrize(
    "keys",
    [
        {"cpus": -1},
        {"cpus": 10**30},
        {"cpus": "many"},
        {"clock_s": float("inf")},
        {"load_1min": float("nan")},
        {"host": "x" * 201},
        {"host": ["x"]},
        {"python": [3, 11]},
        {"python": [3, 11, 10**9]},
        {"version": 2},
        {"more": 1},
    ],
)
def test_an_answer_of_another_form_is_refused(keys):
    with pytest.raises(RemoteError, match="its survey is not one"):
        read_answer(answer(**keys))


def test_an_answer_that_nests_deeper_than_any_stack_is_refused():
    with pytest.raises(RemoteError, match="did not print JSON"):
        read_answer(survey.MARK.encode() + b"[" * 60_000)


def test_control_characters_are_gone():
    found = read_answer(answer(host="a\x1b]0;x\x07b", qemu="q\x9b31m\u202e"))
    assert (found.host, found.qemu) == ("a�]0;x�b", "q�31m�")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(list(GOOD)), inner),
)


@settings(max_examples=300)
@given(st.binary() | JSON.map(lambda v: survey.MARK.encode() + json.dumps(v).encode()))
def test_any_answer_is_a_survey_or_one_error(data):
    try:
        found = read_answer(data)
    except RemoteError as error:
        assert str(error).isprintable() and len(str(error)) < 400
    else:
        assert isinstance(found, Survey)


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(list(GOOD)), JSON, min_size=1, max_size=3))
def test_an_answer_with_some_values_changed_is_judged_or_refused(keys):
    try:
        found = read_answer(answer(**keys))
    except RemoteError:
        return
    assert all(check.detail.isprintable() for check in judge(HOST, found, 0))
