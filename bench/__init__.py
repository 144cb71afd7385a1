# SPDX-License-Identifier: GPL-2.0-only
"""Measures the harness itself, as ratios in one run. No test: nothing here fails on a figure."""
