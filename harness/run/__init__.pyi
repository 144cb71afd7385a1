# SPDX-License-Identifier: GPL-2.0-only
from .gate_status import GateMark as GateMark
from .gate_status import gate_verdict as gate_verdict
from .gate_status import keep_status as keep_status
from .local import Executor as Executor
from .local import Job as Job
from .local import Local as Local
from .loop import Event as Event
from .loop import Ran as Ran
from .loop import RunOptions as RunOptions
from .loop import Steps as Steps
from .loop import run_experiment as run_experiment
from .loop import whole as whole
from .progress import Observer as Observer
from .progress import Progress as Progress
from .session import Session as Session
from .session import fit as fit
from .session import prepare as prepare
