# SPDX-License-Identifier: GPL-2.0-only
"""How much a kernel differs from itself, as the committed A/A datasets have it."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import yaml
from scipy import stats

from harness.compare.effect import ALPHA, FEW
from harness.model import Model

POWER = 0.8
"""How often an effect is to be found that a number of blocks is said to find."""


class Noise(Model):
    """noise.yaml, which tools/noise writes."""

    time: dict[str, float]
    """phase or pass of touch: standard deviation of log(arm / baseline) within a block"""
    memory_bytes: int
    """the largest difference of QEMU's memory between two boots of a machine"""
    work: dict[str, int]
    """phase or pass of touch: the largest difference of instructions between two command lines"""


@functools.cache
def noise() -> Noise:
    """What was measured."""
    file = Path(__file__).with_name("noise.yaml")
    return Noise.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))


def findable(name: str, blocks: int, part: float = 0.02) -> float | None:
    """The slowdown, as a part, that so many blocks call `slower` in four of five experiments.

    Half of the 95 % interval has to fit between it and `part`, and the estimate may lie as far off
    as in one experiment of five. None from under six blocks, and of what no A/A was made.
    """
    spread = noise().time.get(name)
    if spread is None or blocks < FEW:
        return None
    reach = stats.t.ppf(1 - ALPHA / 2, blocks - 1) + stats.t.ppf(POWER, blocks - 1)
    return float(math.exp(math.log1p(part) + reach * spread / math.sqrt(blocks)) - 1)
