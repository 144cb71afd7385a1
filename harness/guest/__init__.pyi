# SPDX-License-Identifier: GPL-2.0-only
from .initramfs import DONE as DONE
from .initramfs import Initramfs as Initramfs
