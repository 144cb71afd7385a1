# SPDX-License-Identifier: GPL-2.0-only
"""Which word is said of an effect."""

import numpy as np
import pytest

from harness.compare import verdict
from harness.compare.effect import Effect
from harness.compare.verdict import Interest, decide

BOUNDS = Interest(0.02, 0.005).bounds(1.0)


def an_effect(estimate: float, low: float, high: float, p: float = 0.01, n: int = 8) -> Effect:
    return Effect(n, estimate, low, high, p, "sign-flip")


@pytest.mark.parametrize(
    ("seen", "word", "more"),
    [
        (an_effect(-0.10, -0.12, -0.08), "faster", None),
        (an_effect(0.10, 0.08, 0.12), "slower", None),
        (an_effect(0.10, 0.08, 0.12, p=0.06), "inconclusive", 1),
        (an_effect(0.00, -0.01, 0.01), "equivalent", None),
        (an_effect(0.01, 0.005, 0.015), "equivalent", None),  # real, and of no interest
        (an_effect(0.03, 0.005, 0.055), "inconclusive", 41),  # 8 * (0.025 / 0.0102)^2 - 8
        (an_effect(-0.30, -0.31, -0.29, n=5, p=0.0625), "inconclusive", 1),
        (an_effect(-0.30, -0.31, -0.29, n=3, p=0.25), "inconclusive", 3),
        (Effect(1, -0.3, None, None, 1.0, "sign-flip"), "inconclusive", 5),
        (Effect(1, -0.3, -0.31, -0.29, None, "A/A floor"), "faster", None),
        (Effect(1, 0.3, 0.29, 0.31, None, "A/A floor"), "slower", None),
        (Effect(9, 0.0, -0.01, 0.01, None, "A/A floor"), "equivalent", None),
        (Effect(9, 0.02, -0.01, 0.05, None, "A/A floor"), "inconclusive", None),
        (an_effect(0.0198, -0.2, 0.24, p=0.8), "inconclusive", None),  # more than 1000
    ],
)
def test_verdicts(seen: Effect, word: str, more: int | None) -> None:
    (found,) = decide([seen], [BOUNDS])
    assert (found.word, found.more_blocks) == (word, more)
    assert bool(found.why) == (word == "inconclusive")


def test_a_family_takes_more_than_one_test() -> None:
    good = an_effect(-0.10, -0.12, -0.08, p=0.03)
    noise = an_effect(0.0, -0.1, 0.1, p=0.9)
    assert decide([good], [BOUNDS])[0].word == "faster"
    found = decide([good, noise, noise, noise], [BOUNDS] * 4)[0]
    assert (found.word, found.adjusted_p) == ("inconclusive", pytest.approx(0.12))
    # Alone among 14 it needs p below 0.05 / 14, which 10 blocks can give.
    found = decide([good, *[noise] * 13], [BOUNDS] * 14)[0]
    assert (found.word, found.more_blocks) == ("inconclusive", 2)


@pytest.mark.parametrize(
    ("base", "value", "inside"),
    [
        (1.0, 0.99, True),  # 1 % and 10 ms
        (1.0, 0.97, False),
        (0.1, 0.096, True),  # 4 %, but 4 ms
        (0.1, 0.094, False),
        (0.004, 0.0001, True),  # all of it is less than 5 ms
        (0.004, 0.010, False),
    ],
)
def test_an_effect_of_interest_exceeds_both_a_part_and_an_amount(base, value, inside) -> None:
    low, high = Interest(0.02, 0.005).bounds(base)
    assert (low < np.log(value / base) < high) == inside


def test_what_is_small_on_this_machine_alone_is_not_equivalent() -> None:
    """5 ms are 13 % of 38 ms, and of a larger machine they are not."""
    limits = Interest(0.02, 0.005).bounds(0.038)
    small, same = an_effect(0.10, 0.09, 0.11), an_effect(0.0, -0.01, 0.01)
    words = [found.word for found in decide([small, same], [limits] * 2)]
    assert words == ["too small to matter here", "equivalent"]


def test_a_figure_without_a_test_is_no_member_of_the_family() -> None:
    noisy = an_effect(-0.10, -0.12, -0.08, p=0.04)
    exact = Effect(1, -0.3, -0.31, -0.29, None, "A/A floor")
    found = decide([exact, noisy, exact], [BOUNDS] * 3)
    assert [(v.word, v.adjusted_p) for v in found] == [
        ("faster", None),
        ("faster", 0.04),
        ("faster", None),
    ]


def test_more_than_many_blocks_are_not_counted() -> None:
    seen = an_effect(0.0203, -0.2, 0.24, p=0.8)
    assert verdict.decide([seen], [BOUNDS])[0].more_blocks is None
