"""What this program is called: the one place that knows. Messages everywhere say ``python -m runtime``, as in a checkout;
after ``pip install`` the command is ``upscale8k``, and what a person reads says so.
"""

from __future__ import annotations

import sys
from pathlib import Path

MODULE_COMMAND = "python -m runtime"
INSTALLED_COMMAND = "upscale8k"


def get_program_name() -> str:
    """How this process was started."""
    return INSTALLED_COMMAND if Path(sys.argv[0]).stem == INSTALLED_COMMAND else MODULE_COMMAND


def insert_program_name(text: object) -> str:
    """A message with the name by which the person started the program."""
    return str(text).replace(MODULE_COMMAND, get_program_name())
