"""ComfyUI's own tests/execution, unmodified, run in this process against our executor (``adapter.py``).

The tests and their node pack are read from the ComfyUI tree that ``tests/comfyui/obtain.py`` gets, and never copied. Without
the tree they are skipped and say so; with UPSCALE8K_REQUIRE_COMFYUI=1 they fail instead.
"""

from pathlib import Path

import pytest

OUT_OF_SCOPE = {
    "test_offset": "asks a server for pages of its /history; the runner has neither",
    "test_jobs_api": "asks a server for its /api/jobs; the runner has no queue",
    "test_get_job": "asks a server for its /api/jobs; the runner has no queue",
    "test_cached_outputs_in_job_without_client_id": "asks a server for its /api/jobs; the runner has no queue",
}
"""Tests of ComfyUI's web server, by the beginning of their name."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "execution: how ComfyUI marks these tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        item.add_marker(pytest.mark.comfyui)
        item.add_marker(pytest.mark.filterwarnings("ignore:Class-scoped fixtures defined as instance methods"))
        for start, reason in OUT_OF_SCOPE.items():
            if item.name.startswith(start):
                item.add_marker(pytest.mark.skip(reason=f"not for a headless runner: {reason}"))


@pytest.fixture(scope="session")
def args_pytest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What ComfyUI's own conftest takes from the command line."""
    return {"output_dir": str(tmp_path_factory.mktemp("output")), "listen": "127.0.0.1", "port": 0}


@pytest.fixture(scope="session")
def skip_timing_checks() -> bool:
    """As on ComfyUI's own busy machines; tests/graph shows without a clock that async nodes overlap."""
    return True
