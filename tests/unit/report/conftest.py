# SPDX-License-Identifier: GPL-2.0-only
"""The committed datasets, as figures and sections of a report get them; nobody changes them."""

import pytest

from harness.dataset import dataset
from harness.report.context import Context
from tests.support.checkout import ROOT


@pytest.fixture(scope="session")
def context():
    return Context.of(dataset.load(ROOT / "results/reference/quick"))


@pytest.fixture(scope="session")
def scale():
    return Context.of(dataset.load(ROOT / "results/reference/scale"))
