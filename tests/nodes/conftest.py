"""A host for nodes: three empty folders."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from upscale8k.runtime.host import LocalHost


@pytest.fixture
def host(tmp_path: Path) -> Iterator[LocalHost]:
    for name in ("input", "output"):
        (tmp_path / name).mkdir()
    host = LocalHost(input_dir=tmp_path / "input", output_dir=tmp_path / "output", device_name="cpu")
    yield host
    host.close()
