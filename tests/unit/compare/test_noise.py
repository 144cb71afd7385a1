# SPDX-License-Identifier: GPL-2.0-only
"""What is known of the noise, and what a number of blocks can find in it."""

import math

import numpy as np
import pytest

from harness.compare.effect import paired
from harness.compare.noise import findable, noise
from harness.compare.verdict import Interest, decide


def test_few_blocks_find_nothing_and_more_find_more() -> None:
    assert findable("boot", 5) is None and findable("no such phase", 24) is None
    parts = [findable("boot", blocks) for blocks in (6, 12, 24, 48)]
    assert parts == sorted(parts, reverse=True) and parts[0] > noise().time["boot"]
    assert findable("memmap_init", 12) < findable("page_alloc_init_late", 12)


@pytest.mark.parametrize("blocks", [8, 24])
def test_four_of_five_experiments_find_what_was_promised(blocks: int) -> None:
    part, spread = findable("memmap_init", blocks), noise().time["memmap_init"]
    draw = np.random.default_rng(1)
    limits = Interest(0.02, 0.0).bounds(1.0)
    words = [
        decide([paired(np.exp(math.log1p(part) + logs), np.ones(blocks))], [limits])[0].word
        for logs in draw.normal(0, spread, (200, blocks))
    ]
    assert words.count("slower") / len(words) == pytest.approx(0.8, abs=0.1)
