"""Packs written to a folder as people clone them, and a host to load them with."""

from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from upscale8k.runtime.host import LocalHost

WritePack = Callable[..., Path]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[LocalHost]:
    folders = {name: tmp_path / name for name in ("input", "output", "models")}
    for folder in folders.values():
        folder.mkdir()
    host = LocalHost(input_dir=folders["input"], output_dir=folders["output"], models_dirs=(folders["models"],))
    yield host
    host.close()


@pytest.fixture
def write_pack(tmp_path: Path) -> WritePack:
    """``write_pack("__init__.py text", **{"other.py": text})`` makes a folder whose name no import statement can say."""

    def write(init: str, *, name: str = "comfyui-some.pack", **files: Any) -> Path:
        folder = tmp_path / "custom_nodes" / name
        for file, text in {"__init__.py": init, **files}.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(dedent(text), encoding="utf-8")
        return folder

    return write
