"""The name of this program in messages. Messages in the code say ``python -m runtime``, as in a checkout; after
``pip install`` the command is ``upscale8k``, and printed messages say so.
"""

import sys
from pathlib import Path

from ..paths import is_checkout

MODULE_COMMAND = "python -m runtime"
INSTALLED_COMMAND = "upscale8k"
_CONTROL_CHARACTERS = {code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
"""A terminal obeys them: a file name may move the cursor, set the title or hide what stands before it."""


def get_program_name() -> str:
    """Return the command that the user has: ``python -m runtime`` works in the folder of a checkout only."""
    is_installed = Path(sys.argv[0]).stem == INSTALLED_COMMAND or not is_checkout()
    return INSTALLED_COMMAND if is_installed else MODULE_COMMAND


def insert_program_name(text: object) -> str:
    """Return a message with the command that the user has, without control characters of names from outside."""
    return str(text).replace(MODULE_COMMAND, get_program_name()).translate(_CONTROL_CHARACTERS)
