"""Where ComfyUI's source tree is, and what is missing before its server can start."""

import os
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

VERSION = "0.30.0"
CHECKOUT = Path(__file__).resolve().parents[3]
CACHED = CHECKOUT / ".cache" / f"comfyui-{VERSION}"
NEWEST_FRONTEND = "1.58.1"
OBTAIN = "python tests/comfyui/obtain.py"


def tree() -> Path:
    """The folder with ComfyUI's main.py: what UPSCALE8K_COMFYUI names, or the one that obtain.py unpacks."""
    return Path(os.environ.get("UPSCALE8K_COMFYUI") or CACHED)


def frontend() -> Path:
    """The static files of the newest frontend: what UPSCALE8K_FRONTEND names, or what obtain.py unpacks."""
    cached = CHECKOUT / ".cache" / f"frontend-{NEWEST_FRONTEND}" / "comfyui_frontend_package" / "static"
    return Path(os.environ.get("UPSCALE8K_FRONTEND") or cached)


def tree_problem(folder: Path) -> str | None:
    """Why ``folder`` is not ComfyUI 0.30.0, as one sentence; None when it is."""
    stamp = folder / "comfyui_version.py"
    if not stamp.is_file() or not (folder / "main.py").is_file():
        return f"ComfyUI {VERSION} is not in {folder}."
    found = re.search(r'__version__ = "([^"]+)"', stamp.read_text(encoding="utf-8"))
    if found is None or found[1] != VERSION:
        return f"{folder} holds ComfyUI {found[1] if found else 'of unknown version'}; these tests compare with {VERSION}."
    return None


def missing_requirements(folder: Path) -> list[str]:
    """The lines of ComfyUI's requirements.txt that the running environment does not satisfy."""
    lines = (line.split("#")[0].strip() for line in (folder / "requirements.txt").read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not installed(line)]


def installed(line: str) -> bool:
    """Whether the running environment satisfies one requirement line."""
    requirement = Requirement(line)
    if requirement.marker and not requirement.marker.evaluate():
        return True
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False


def problem() -> str | None:
    """Why the server cannot start here, with the command that helps; None when it can."""
    folder = tree()
    reason = tree_problem(folder)
    if reason is None and (missing := missing_requirements(folder)):
        reason = f"This environment lacks what ComfyUI needs: {', '.join(missing)}."
    return reason and f"{reason} Get it with: {OBTAIN}"
