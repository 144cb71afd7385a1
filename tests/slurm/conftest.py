# SPDX-License-Identifier: GPL-2.0-only
"""What the tests on Slurm share; they skip where there is none, or where it does not come up."""

import importlib.util
import signal
import subprocess
import sys

import pytest

from tests.support.checkout import ROOT
from tests.support.slurm import MISSING, Slurm, UnableError


@pytest.fixture
def slurm():
    """Two nodes, n1 and n2."""
    if MISSING:
        pytest.skip(f"no {', '.join(MISSING)} here: tools/packages tests")
    slurm = Slurm()
    try:
        slurm.start()
        yield slurm
    except UnableError as error:
        pytest.skip(f"Slurm does not come up here: {error}")
    finally:
        slurm.stop()


class Holder:
    """`tools/slurm` at work: it holds jobs, and each of them is a worker."""

    def __init__(self, slurm, folder):
        self.slurm, self.folder = slurm, folder / "slurm"
        self.file, self.log = self.folder / "scheduler.json", folder / "holder.log"
        self.process = None

    def hold(self, jobs=2, walltime="10:00", **options):
        """Starts it; `options` are more of its own."""
        argv = [sys.executable, ROOT / "tools/slurm", self.folder, f"--jobs={jobs}", "--cores=2"]
        argv += ["--memory=4GiB", f"--walltime={walltime}", "--interface=lo"]
        argv += [f"--{key}={value}" for key, value in options.items()]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                argv, env=self.slurm.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def end(self, number=signal.SIGTERM):
        """Answers its exit status."""
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def holder(slurm, tmp_path):
    if not importlib.util.find_spec("dask_jobqueue"):
        pytest.skip("no dask-jobqueue here: pip install dask-jobqueue")
    holder = Holder(slurm, tmp_path)
    yield holder
    if holder.process and holder.process.poll() is None:
        holder.process.kill()
        holder.process.wait()
    if holder.log.is_file():
        print(holder.log.read_text())
