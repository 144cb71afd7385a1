# SPDX-License-Identifier: GPL-2.0-only
from .cluster import Cluster as Cluster
from .doctor import Examination as Examination
from .inventory import Host as Host
from .inventory import Inventory as Inventory
from .lab import Lab as Lab
from .remote import Remote as Remote
