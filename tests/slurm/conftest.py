# SPDX-License-Identifier: GPL-2.0-only
"""What the tests on Slurm share; they skip where there is none, or where it does not come up."""

import importlib.util

import pytest
import yaml

from tests.support.checkout import ROOT
from tests.support.slurm import MISSING, Slurm, UnableError


@pytest.fixture
def slurm(monkeypatch, tmp_path):
    """Two nodes, n1 and n2; the environment is one in which they are found."""
    if MISSING:
        pytest.skip(f"no {', '.join(MISSING)} here: tools/packages tests")
    if not importlib.util.find_spec("dask_jobqueue"):
        pytest.skip("no dask-jobqueue here: pip install dask-jobqueue")
    slurm = Slurm()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("PATH", "SLURM_CONF"):
        monkeypatch.setenv(name, slurm.env[name])
    try:
        slurm.start()
        yield slurm
    except UnableError as error:
        pytest.skip(f"Slurm does not come up here: {error}")
    finally:
        slurm.stop()


@pytest.fixture
def batch(tmp_path):
    """Writes a file of --cluster: the one of tools/, for these nodes."""

    def write(jobs=2, **options):
        data = yaml.safe_load((ROOT / "tools/clusters/slurm.yaml").read_text())
        data |= {"jobs": jobs, "memory": "4GiB", "cores": 2}
        data["options"] |= {"queue": "lab", "interface": "lo", "walltime": "10:00", "job_cpu": 2}
        data["options"] |= {"job_mem": "5G", "log_directory": str(tmp_path / "jobs")}
        data["options"]["job_extra_directives"] = ["--exclusive", "--no-requeue"]
        data["options"] |= options
        path = tmp_path / "slurm.yaml"
        path.write_text(yaml.safe_dump(data))
        return path

    return write
