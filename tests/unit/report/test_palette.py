# SPDX-License-Identifier: GPL-2.0-only
"""Colours and forms that stand for variants."""

from harness.report.palette import COLOURS, FORMS, MARKS, Mark, marks_of

FOREIGN = "</script> \x1b"


def test_variants_of_this_project_have_marks_of_their_own():
    assert len(set(MARKS.values())) == len(MARKS) and len(set(FORMS)) == len(FORMS)
    assert all(m.colour < COLOURS and m.form < len(FORMS) for m in MARKS.values())
    # Whatever else is in the report.
    assert (
        marks_of(["lazy", "eager"])["lazy"] == marks_of(["lazy", "mine"])["lazy"] == MARKS["lazy"]
    )


def test_any_other_variant_has_the_mark_that_its_name_says():
    alone = {name: marks_of([name])[name] for name in ("mine", "theirs", "v2", FOREIGN)}
    together = marks_of([*alone, *MARKS])
    assert {name: together[name] for name in alone} == alone
    assert len(set(together.values())) == len(together)
    many = marks_of([*MARKS, *(f"v{n}" for n in range(70))])
    assert len(set(many.values())) == len(many)


def test_a_second_arm_has_the_colour_of_its_variant_and_another_form():
    found = marks_of(["eager", "eager@2", "eager.debug", "mine", "mine@2"])
    assert found["eager"].colour == found["eager@2"].colour == found["eager.debug"].colour
    assert found["mine"].colour == found["mine@2"].colour
    assert len(set(found.values())) == 5


def test_more_variants_than_marks_have_some_twice():
    assert isinstance(marks_of([f"v{n}" for n in range(120)])["v7"], Mark)
