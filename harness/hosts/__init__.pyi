# SPDX-License-Identifier: GPL-2.0-only
from .cluster import Jobs as Jobs
from .cluster import SchedulerFile as SchedulerFile
from .cluster import Source as Source
from .cluster import SSHHosts as SSHHosts
from .doctor import Examination as Examination
from .executor import Hosts as Hosts
from .inventory import Batch as Batch
from .inventory import Inventory as Inventory
