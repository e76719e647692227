"""A piece of Python in a process of its own: its limits, its signals and its memory are nobody else's.

In the process of a test run that has had two gigabytes, the allocator goes on moving what earlier tests left.
"""

import subprocess
import sys
from pathlib import Path

START = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from runtime.bootstrap import load_pack; load_pack()
"""


def run_child(root: Path, script: str) -> subprocess.CompletedProcess[str]:
    start = START.format(root=str(root), tests=str(root / "tests"))
    return subprocess.run([sys.executable, "-c", start + script], capture_output=True, text=True, check=False, timeout=300)
