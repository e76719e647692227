"""Where ComfyUI's source tree is, and what is missing before its server can start."""

import json
import os
import re
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

import pytest
from packaging.requirements import Requirement

VERSION = "0.30.0"
TESTED = ("0.3.64", "0.8.0", VERSION, "0.33.0")
"""Versions that these tests passed with; all but VERSION are a checkout that UPSCALE8K_COMFYUI names."""
_ITS_OWN = ("comfyui-", "comfy-", "comfy_")  # packages that each version pins; those installed are VERSION's
CHECKOUT = Path(__file__).resolve().parents[3]
CACHED = CHECKOUT / ".cache" / f"comfyui-{VERSION}"
OBJECT_INFO = CHECKOUT / ".cache" / f"object_info-{VERSION}.json"
NEWEST_FRONTEND = "1.58.1"
OBTAIN = "python tests/comfyui/obtain.py"


def tree() -> Path:
    """The folder with ComfyUI's main.py: what UPSCALE8K_COMFYUI names, or the one that obtain.py unpacks."""
    return Path(os.environ.get("UPSCALE8K_COMFYUI") or CACHED)


def skip_or_fail(reason: str) -> NoReturn:
    """Skip a test without its peer, or fail it where UPSCALE8K_REQUIRE_COMFYUI=1 says that there is one."""
    if os.environ.get("UPSCALE8K_REQUIRE_COMFYUI") == "1":
        pytest.fail(f"UPSCALE8K_REQUIRE_COMFYUI=1, but: {reason}", pytrace=False)
    pytest.skip(reason, allow_module_level=True)


def require_tree() -> Path:
    """The absolute path of ``tree()`` for a test that cannot do without."""
    if reason := tree_problem(tree()):
        skip_or_fail(f"{reason} Get it with: {OBTAIN}, or name one in UPSCALE8K_COMFYUI")
    return tree().absolute()


@cache
def declarations() -> dict[str, Any]:
    """What the nodes of ComfyUI 0.30 take and give, as its server told obtain.py."""
    if not OBJECT_INFO.is_file():
        skip_or_fail(f"{OBJECT_INFO} is not here. Get it with: {OBTAIN}")
    return json.loads(OBJECT_INFO.read_text(encoding="utf-8"))


def frontend() -> Path:
    """The static files of the newest frontend: what UPSCALE8K_FRONTEND names, or what obtain.py unpacks."""
    cached = CHECKOUT / ".cache" / f"frontend-{NEWEST_FRONTEND}" / "comfyui_frontend_package" / "static"
    return Path(os.environ.get("UPSCALE8K_FRONTEND") or cached)


def tree_problem(folder: Path) -> str | None:
    """Why ``folder`` is no ComfyUI of a tested version, as one sentence; None when it is."""
    found = tree_version(folder)
    if found is None:
        return f"ComfyUI {VERSION} is not in {folder}."
    if found not in TESTED:
        return f"{folder} holds ComfyUI {found}; these tests compare with {', '.join(TESTED)}."
    return None


def tree_version(folder: Path) -> str | None:
    """Return the version of ComfyUI in ``folder``, None when there is none."""
    stamp = folder / "comfyui_version.py"
    if not stamp.is_file() or not (folder / "main.py").is_file():
        return None
    found = re.search(r'__version__ = "([^"]+)"', stamp.read_text(encoding="utf-8"))
    return found[1] if found else "of unknown version"


def missing_requirements(folder: Path) -> list[str]:
    """The lines of ComfyUI's requirements.txt that the running environment does not satisfy."""
    lines = (line.split("#")[0].strip() for line in (folder / "requirements.txt").read_text(encoding="utf-8").splitlines())
    if tree_version(folder) not in (None, VERSION):
        lines = (line for line in lines if not line.startswith(_ITS_OWN))
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
