"""A place to work in, and the command line in it: in this process for most tests, as a process of its own where it matters."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from upscale8k.runtime.cli import main

Prompt = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Answer:
    """What a person gets back."""

    code: int
    out: str
    err: str
    new: list[str]
    """Files that are there now and were not before, relative to the working folder."""
    command: str = ""


@dataclass(frozen=True)
class Place:
    """A working folder with ``input``, ``output`` and ``models``; the process stands in it."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: object) -> Answer:
        """Run one command."""
        before = self.files()
        self.capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = self.capsys.readouterr()
        return Answer(code, said.out, said.err, sorted(self.files() - before), str(next(iter(arguments), "")))

    def run(self, prompt: Prompt, *arguments: object) -> Answer:
        """Run an API prompt by the backend that repeats pixels."""
        return self("run", self.save(prompt), *NULL, *arguments)

    def refuses(self, answer: Answer, *facts: str) -> str:
        """Assert what every refusal is: exit code 2, or 1 in a node, a sentence with these facts, no traceback, no result.

        ``upscale`` names no node, because its user knows none.
        """
        names_node = answer.err.startswith("Error: node ")
        assert answer.code == 2 or (answer.code == 1 and names_node == (answer.command != "upscale")), answer
        assert answer.err.startswith("Error: "), answer.err
        assert "Traceback" not in answer.err
        for fact in facts:
            assert fact in answer.err, answer.err
        assert answer.out == ""
        assert answer.new == []
        return answer.err

    def save(self, workflow: Any, name: str = "workflow.json") -> Path:
        path = self.folder / name
        path.write_text(json.dumps(workflow), encoding="utf-8")
        return path

    def image(self, name: str = "a.png", pixels: np.ndarray | None = None) -> np.ndarray:
        """Write an image into the input folder; its pixels."""
        pixels = noise() if pixels is None else pixels
        Image.fromarray(pixels).save(self.folder / "input" / name)
        return pixels

    def files(self) -> set[str]:
        return {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if not path.is_dir()}


NULL = ("--backend", "null", "--progress", "none", "--models-dir", "models")


def noise(height: int = 12, width: int = 16, channels: int = 3) -> np.ndarray:
    """uint8 (H, W, C), every value between 1 and 254."""
    return np.random.default_rng(8).integers(1, 255, (height, width, channels), dtype=np.uint8)


def pixels_of(path: str | Path) -> np.ndarray:
    """An image file as Pillow reads it."""
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Converted weights go to a folder of the tests; child processes find it too."""
    before = os.environ.get("UPSCALE8K_CACHE_DIR")
    os.environ["UPSCALE8K_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.pop("UPSCALE8K_CACHE_DIR")
    if before is not None:
        os.environ["UPSCALE8K_CACHE_DIR"] = before


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Place:
    for name in ("input", "output", "models"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    here = Place(tmp_path, capsys)
    here.image()
    return here


@pytest.fixture
def prompt() -> Prompt:
    """Load a.png, enlarge it twice, save it: an API prompt to change."""
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "2": {"class_type": "UpscaleModel", "inputs": {"model": "realesr-animevideov3"}},
        "3": {
            "class_type": "TiledUpscale",
            "inputs": {"image": ["1", 0], "upscale_model": ["2", 0], "target": "2x", "tile": 0},
            "_meta": {"title": "The enlarger"},
        },
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "result"}},
    }


@pytest.fixture
def runtime(root: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Start ``python -m runtime`` in the checkout, as a person does."""

    def start(*arguments: object) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "runtime", *map(str, arguments)]
        return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start
