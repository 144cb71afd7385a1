# SPDX-License-Identifier: GPL-2.0-only
"""Errors that are raised on purpose: one screen, that says what, where and what to do."""

import inspect
import re

import pytest

from harness import errors
from harness.errors import Failure, HarnessError, RemoteError, SchemaError, UserError

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, HarnessError)
]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({}, "no such file"),
        ({"where": "x.yaml"}, "x.yaml: no such file"),
        ({"remedy": "make one"}, "no such file\n  remedy: make one"),
        ({"where": "x.yaml", "remedy": "make one"}, "x.yaml: no such file\n  remedy: make one"),
    ],
)
def test_an_error_says_what_it_knows(words, said):
    assert str(UserError("no such file", **words)) == said
    assert str(RemoteError(Failure.SILENT, "no such file", **words)) == said


def test_where_it_was_may_be_told_later():
    """As a connection does, which knows the name of its host."""
    error = RemoteError(Failure.CLOSED, "broke off")
    error.where = "lab-7"
    assert str(error) == "lab-7: broke off"


def test_the_tree_of_the_docstring_is_the_one_of_the_classes():
    drawn, parents = {}, [""]
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"    ((?:[│├└─ ]{4})*)([A-Z]\w+Error)\b", line):
            depth = len(found[1]) // 4
            parents[depth + 1 :] = [found[2]]
            drawn[found[2]] = parents[depth]
    assert drawn == {
        kind.__name__: "" if kind is HarnessError else kind.__mro__[1].__name__ for kind in KINDS
    }


def test_another_schema_is_damage_of_results_to_who_does_not_ask():
    assert issubclass(SchemaError, errors.ResultsError)
    assert not issubclass(SchemaError, UserError)


def test_failures_are_words_for_scripts():
    assert len({str(failure) for failure in Failure}) == len(Failure)
    assert all(re.fullmatch("[a-z]+(-[a-z]+)*", failure) for failure in Failure)
