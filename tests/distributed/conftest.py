"""A worker in the process of a test leaves nothing to the tests after it."""

from collections.abc import Iterator

import pytest
from upscale8k.runtime.upscale import fix_tile_memory


@pytest.fixture(autouse=True)
def forgotten_tile_memory() -> Iterator[None]:
    yield
    fix_tile_memory(None)
