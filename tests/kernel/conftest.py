# SPDX-License-Identifier: GPL-2.0-only
"""The kernels of this checkout, built where they are not built yet: minutes from an empty cache."""

import os
from pathlib import Path

import pytest

from harness.errors import HostError, SourceError
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


@pytest.fixture(scope="session")
def source_of(project):
    """The source of a base; a test skips where the archive of another base is out of reach."""

    def find(base: str):
        store = Kernels(project, on=project.chosen(base))
        try:
            return store.base
        except (HostError, SourceError) as error:
            if store.on is None:
                raise
            pytest.skip(f"the source of {base} cannot be had here: {error.what}")

    return find
