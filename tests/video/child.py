"""Run a script in its own process, with its own limits, signals and memory.

In the process of a test run that has used two gigabytes, the allocator continues to move what earlier tests left.
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
