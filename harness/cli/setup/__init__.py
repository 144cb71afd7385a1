# SPDX-License-Identifier: GPL-2.0-only
"""Commands about what lies around the work: this host, other hosts, a project, cache and shell.

A module for each, as in the folder above. None of them boots a kernel that is to be measured.
"""
