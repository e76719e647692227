"""``python -m runtime`` as a person runs it: from the checkout, without ComfyUI."""

import subprocess
import sys
from pathlib import Path


def runtime(root: Path, *arguments: object) -> str:
    """What the command prints on stdout. A status other than 0 is an AssertionError with what it said."""
    command = [sys.executable, "-m", "runtime", *map(str, arguments)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout
