"""What this program is called: the one place that knows. Messages everywhere say ``python -m runtime``, as in a checkout;
after ``pip install`` the command is ``upscale8k``, and what a person reads says so.
"""

from __future__ import annotations

import sys
from pathlib import Path

MODULE = "python -m runtime"
COMMAND = "upscale8k"


def name() -> str:
    """How this process was started."""
    return COMMAND if Path(sys.argv[0]).stem == COMMAND else MODULE


def worded(text: object) -> str:
    """A message with the name by which the person started the program."""
    return str(text).replace(MODULE, name())
