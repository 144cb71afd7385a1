# SPDX-License-Identifier: GPL-2.0-only
"""The kernels of this checkout, built where they are not built yet: minutes from an empty cache."""

import os
from pathlib import Path

import pytest

from harness.kernel.store import Kernels
from harness.project import Project, cache_folder
from tests.support.real import ROOT

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.kernel)


@pytest.fixture(scope="session")
def project() -> Project:
    return Project(ROOT, cache_folder(os.environ))


@pytest.fixture(scope="session")
def kernels(project) -> Kernels:
    return Kernels(project)
