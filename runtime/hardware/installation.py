"""Find problems of the installed libraries; each finding is a sentence with the next step."""

import json
import operator
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, cast

from ..paths import REQUIREMENTS_FILE
from .detect import Machine, get_installed_version

FindingLevel = Literal["ok", "note", "problem"]

IMPORT_CHECK = Path(__file__).with_name("import_check.py")
_TIMEOUT_SECONDS = 180
_PYTHON = ((3, 11), (3, 14))
_LINE = re.compile(r"^([A-Za-z0-9._-]+)>=([0-9.]+)$")
_SAME_MODULE = {"opencv-python-headless": "cv2"}
"""Another package may contain the same module: ComfyUI's environment often has opencv-python."""
_CONFLICTING_PACKAGES = (
    ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino"),
)
_COMPARE = {"==": operator.eq, ">=": operator.ge, "<=": operator.le, "<": operator.lt, ">": operator.gt}


@dataclass(frozen=True)
class Finding:
    """A result of a check. ``ok``: as expected. ``note``: worth knowing. ``problem``: prevents something from working."""

    level: FindingLevel
    what: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.what} {self.hint}".strip()


def check_installation(machine: Machine, encoders: Mapping[str, str]) -> list[Finding]:
    """Check Python, the libraries and the GPU. Imports the libraries in another process, which takes some seconds.

    ``encoders`` are those that FFmpeg should have, as FFmpeg's name to a title.
    """
    return [
        *check_python(sys.version_info[:2]),
        *check_requirements(),
        *check_conflicts(),
        *check_gpus(machine),
        *check_imports(machine, encoders),
    ]


def check_python(version: tuple[int, int]) -> Iterator[Finding]:
    """Check that Upscale8K supports this Python version."""
    oldest, beyond = _PYTHON
    name = ".".join(str(number) for number in version)
    if oldest <= version < beyond:
        yield Finding("ok", f"Python {name}.")
    else:
        yield Finding("problem", f"Upscale8K does not support Python {name}.", "Use Python 3.11, 3.12 or 3.13.")


def check_requirements(file: Path = REQUIREMENTS_FILE) -> Iterator[Finding]:
    """Find required packages that are missing or too old. A wheel has no such file, because pip checks it."""
    if not file.is_file():
        return
    required = [
        found.groups() for line in file.read_text(encoding="utf-8").splitlines() if (found := _LINE.match(line.strip()))
    ]
    has_problem = False
    for name, oldest in required:
        version = get_installed_version(name)
        module = _SAME_MODULE.get(name)
        if version is None and (module is None or find_spec(module) is None):
            has_problem = True
            yield Finding(
                "problem", f"The package {name} is not installed.", f'Install it with: pip install "{name}>={oldest}"'
            )
        elif version is not None and parse_version(version) < parse_version(oldest):
            has_problem = True
            yield Finding(
                "problem",
                f"{name} {version} is too old: {oldest} or newer is required.",
                f'Update it with: pip install "{name}>={oldest}"',
            )
    if not has_problem:
        yield Finding("ok", f"All {len(required)} required packages are installed.")


def check_conflicts() -> Iterator[Finding]:
    """Find packages that overwrite each other's files, and a torchvision for another torch."""
    for group in _CONFLICTING_PACKAGES:
        installed_packages = [name for name in group if get_installed_version(name)]
        if len(installed_packages) > 1:
            yield Finding(
                "note",
                f"{' and '.join(installed_packages)} are installed together and overwrite each other's files.",
                f"If an import fails: pip uninstall {' '.join(installed_packages)}, then install the one you need.",
            )
    if get_installed_version("pynvml"):
        yield Finding("note", "The abandoned package pynvml hides nvidia-ml-py.", "Remove it with: pip uninstall pynvml")
    torch, vision = get_installed_version("torch"), get_installed_version("torchvision")
    if torch and vision:
        yield check_torchvision_version(torch, vision, requires("torchvision") or ())


def check_torchvision_version(torch: str, torchvision: str, requirements: Sequence[str]) -> Finding:
    """Check that torch is what ``requirements`` of torchvision's metadata ask for, such as ``torch==2.13.0``."""
    for requirement in requirements:
        name = re.match(r"\s*torch\s*(?![\w.-])(.*)", requirement)
        for sign, number in re.findall(r"([=<>]=?)\s*([0-9.]+)", name[1].partition(";")[0] if name else ""):
            if sign in _COMPARE and not _COMPARE[sign](parse_version(torch), parse_version(number)):
                return Finding(
                    "problem",
                    f"torchvision {torchvision} needs torch{sign}{number}, and torch {torch} is installed.",
                    "Install both together, as described at pytorch.org/get-started.",
                )
    builds = [version.partition("+")[2] for version in (torch, torchvision)]
    if all(builds) and builds[0] != builds[1]:
        return Finding(
            "problem",
            f"torch {torch} and torchvision {torchvision} were built for different hardware.",
            "Install both from the same index as described at pytorch.org/get-started.",
        )
    return Finding("ok", f"torch {torch} and torchvision {torchvision} belong together.")


def check_gpus(machine: Machine) -> Iterator[Finding]:
    """Report the notes of the detection, and a driver that is too old for torch's CUDA."""
    for note in machine.notes:
        yield Finding("problem", note)
    cuda = re.match(r"CUDA (\d+)", machine.torch_build or "")
    if machine.gpus and machine.cuda and cuda and int(cuda[1]) > int(machine.cuda.partition(".")[0]):
        yield Finding(
            "problem",
            f"torch was built for {machine.torch_build}, but the driver {machine.driver} supports at most CUDA {machine.cuda}.",
            "Update the NVIDIA driver, or install a torch for an older CUDA.",
        )
    if machine.gpus and not machine.notes:
        yield Finding("ok", f"{', '.join(gpu.name for gpu in machine.gpus)}.")
    elif not machine.gpus and not machine.notes:
        yield Finding("ok", "No NVIDIA GPU was found: images are computed on the processor.")


def check_imports(machine: Machine, encoders: Mapping[str, str], script: Path = IMPORT_CHECK) -> Iterator[Finding]:
    """Import each library in another process, because a broken library may crash it."""
    usable = [gpu for gpu in machine.gpus if gpu.kind == "cuda" and gpu.usable]
    extra = ["cuda"] if usable and (machine.torch_build or "").startswith("CUDA") else []
    extra += ["nvenc"] if any(gpu.encoder for gpu in usable) else []
    extra += [f"{name}={title}" for name, title in encoders.items()]
    try:
        completed = subprocess.run(
            [sys.executable, "-P", str(script), *extra], capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding("problem", f"The import of the libraries did not end: {error}.", "Try again; then restart the computer.")
        return
    yield from parse_import_report(completed.stdout.splitlines(), completed.returncode)


def parse_import_report(lines: Sequence[str], code: int) -> Iterator[Finding]:
    """Return the findings for the output lines and the exit code of ``import_check.py``."""
    answers = [_parse_json_line(line) for line in lines]
    started = [str(answer["trying"]) for answer in answers if "trying" in answer]
    ended = [str(answer.get("ok") or answer.get("failed")) for answer in answers]
    for answer in answers:
        if "failed" in answer:
            yield _make_import_finding(str(answer["failed"]), str(answer["error"]))
        for title in answer.get("missing", []):
            yield Finding(
                "note", f"This build of PyAV cannot write {title}.", "Install PyAV from its own wheel: pip install av"
            )
    for name in started:
        if name not in ended:
            yield Finding(
                "problem", f"Importing {name} crashed Python (exit code {code}).", f"Install it again: pip install -I {name}"
            )
    imported = [f"{answer['ok']} {answer['version']}".strip() for answer in answers if "ok" in answer]
    if imported:
        yield Finding("ok", f"Imported and tested: {', '.join(imported)}.")


_HINTS = {
    "torch": "Install torch again as described at pytorch.org/get-started.",
    "torchvision": "Install the torchvision that belongs to this torch.",
    "cuda": "Update the driver, or install a torch that supports this GPU; until then use --device cpu.",
    "nvenc": "Update the NVIDIA driver; until then set hardware of Video Out to none.",
}


def _make_import_finding(name: str, error: str) -> Finding:
    what = {"cuda": "torch cannot compute on the GPU", "nvenc": "The GPU's video encoder does not open"}
    first_line = error.splitlines()[0][:300]
    package = {"cv2": "opencv-python-headless"}.get(name, name)
    summary = what.get(name, f"{name} does not work")
    return Finding("problem", f"{summary} ({first_line}).", _HINTS.get(name, f"Install it again: pip install -I {package}"))


def _parse_json_line(line: str) -> dict[str, Any]:
    """Return the JSON object of a line; empty for a line that a library printed."""
    try:
        answer: object = json.loads(line)
    except ValueError:
        return {}
    return cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}


def parse_version(version: str) -> tuple[int, ...]:
    """Return ``2.13.0+cu130`` as (2, 13, 0); the first part that is not a number ends it."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(number) for number in found[0].split(".")) if found else ()
