"""Room on the disks that results and temporary files go to."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Disk:
    """The file system that ``folder`` lies on, or will lie on. Bytes."""

    folder: Path
    total: int
    free: int


def disk(folder: Path) -> Disk | None:
    """None where nothing of the path exists or it may not be looked at."""
    folder = folder.absolute()
    for place in (folder, *folder.parents):
        try:
            usage = shutil.disk_usage(place)
        except OSError:
            continue
        return Disk(folder, usage.total, usage.free)
    return None
