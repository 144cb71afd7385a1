# SPDX-License-Identifier: GPL-2.0-only
"""Boots patched Linux kernels on very large emulated NUMA machines and measures the boot."""

__version__ = "0.1.0"
