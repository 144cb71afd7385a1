# SPDX-License-Identifier: GPL-2.0-only
from .forms import BINARY as BINARY
from .forms import FORMS as FORMS
from .forms import export as export
