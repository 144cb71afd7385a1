# SPDX-License-Identifier: GPL-2.0-only
"""Questions to a porter: a real one here, and voices that say what no porter would."""

import json

import pytest

from harness.errors import Failure, RemoteError
from harness.hosts import inquiry
from harness.hosts.home import Home
from harness.hosts.inquiry import Inquiry, open_inquiry
from harness.hosts.porter import MARK
from tests.support.voices import Says

ROOT = f"{MARK}{json.dumps('/root')}\n".encode()


def test_a_porter_answers_one_question_after_the_other(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with open_inquiry(Home()) as porter:
        assert porter.root == str(tmp_path / ".cache/pageinit/fleet")
        with pytest.raises(RemoteError, match="accept: SystemExit: not the name of a block"):
            porter.ask("accept", "../x", "{}")
        assert porter.ask("accept", "b", '{"ü": 1}') is True
        assert porter.ask("state", "b")["outcome"]["cause"] == "not-begun"
    parcel = tmp_path / ".cache/pageinit/fleet/blocks/b/parcel.json"
    assert parcel.read_text() == '{"ü": 1}' and parcel.stat().st_mode & 0o77 == 0


def test_what_a_shell_says_first_is_none_of_ours():
    answer = f"{MARK}[1, 2]\n".encode()
    voice = Says(b"Welcome!\nno mail\n", ROOT[:5], ROOT[5:] + answer[:3], answer[3:])
    assert Inquiry(voice, 1).ask("x") == [1, 2]


@pytest.mark.parametrize(
    ("voice", "failure", "what"),
    [
        (Says(status=127), Failure.COMMAND, "status 127: sh: 1: python3: not found"),
        (Says(status=-1), Failure.CLOSED, "a signal or the connection ended it"),
        (Says(silent=True), Failure.SILENT, "no answer in time"),
        (Says(MARK.encode() + b'"etc"\n'), Failure.BAD_ANSWER, "where its files are"),
        (Says(ROOT, MARK.encode() + b"{\n"), Failure.BAD_ANSWER, "no JSON"),
        (Says(ROOT, b'pageinit-porter {"error": "\x1b[31mno"}\n'), Failure.BAD_ANSWER, "no JSON"),
        (Says(ROOT, b'pageinit-porter {"error": "\\u001b[31mno"}\n'), Failure.COMMAND, "�\\[31m"),
    ],
)
def test_what_goes_wrong_has_a_name(voice, failure, what):
    with pytest.raises(RemoteError, match=what) as caught:
        Inquiry(voice, 0.1).ask("x")
    assert caught.value.failure == failure


def test_an_answer_without_end_is_cut(monkeypatch):
    monkeypatch.setattr(inquiry, "MAX_ANSWER", 1000)
    with pytest.raises(RemoteError) as caught:
        Inquiry(Says(*[b"x" * 100] * 100), 1).ask("x")
    assert caught.value.failure == Failure.TOO_LARGE
