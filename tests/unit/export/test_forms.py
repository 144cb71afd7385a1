# SPDX-License-Identifier: GPL-2.0-only
"""Every form by its name: the same dataset gives the same bytes."""

import pytest

from harness.export import BINARY, FORMS, export


@pytest.mark.parametrize("form", sorted(FORMS.keys() - BINARY))
def test_a_form_is_text_and_made_anew_with_the_same_bytes(quick, form):
    made = export(quick, form)
    assert made == export(quick, form)
    assert made.decode().endswith("\n")


def test_a_form_that_is_no_text_is_named(quick):
    (form,) = BINARY
    assert b"\0" in export(quick, form)
