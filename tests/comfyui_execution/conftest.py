"""ComfyUI's own tests/execution, unmodified, run in this process against our executor (``adapter.py``).

The tests and their node pack are read from the ComfyUI tree that ``tests/comfyui/obtain.py`` gets, and never copied. Without
the tree they are skipped and say so; with UPSCALE8K_REQUIRE_COMFYUI=1 they fail instead.
"""

from pathlib import Path

import pytest

NO_HISTORY = "asks a web server for pages of its /history, the list of all prompts since it was started; a run is one prompt"
NO_QUEUE = "asks a web server for its /api/jobs, the queue of several people's prompts; a run is one prompt, and is waited for"
OUT_OF_SCOPE = {
    "test_offset_returns_different_items_than_beginning_of_history": NO_HISTORY,
    "test_offset_beyond_history_length_returns_empty": NO_HISTORY,
    "test_offset_at_exact_history_length_returns_empty": NO_HISTORY,
    "test_offset_zero_equals_no_offset_parameter": NO_HISTORY,
    "test_offset_without_max_items_skips_from_beginning": NO_HISTORY,
    "test_offset_with_max_items_returns_correct_window": NO_HISTORY,
    "test_offset_near_end_returns_remaining_items_only": NO_HISTORY,
    "test_jobs_api_job_structure": NO_QUEUE,
    "test_jobs_api_preview_output_structure": NO_QUEUE,
    "test_jobs_api_pagination": NO_QUEUE,
    "test_jobs_api_sorting": NO_QUEUE,
    "test_jobs_api_status_filter": NO_QUEUE,
    "test_get_job_by_id": NO_QUEUE,
    "test_get_job_not_found": NO_QUEUE,
}
"""The tests that do not run here, all of them tests of pages of ComfyUI's web server; each stands for its three cache modes.

Of the other files beside them, test_jobs.py and test_progress_isolation.py test that same server, and test_preview_method.py
needs a diffusion checkpoint.
"""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "execution: how ComfyUI marks these tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        item.add_marker(pytest.mark.comfyui)
        item.add_marker(pytest.mark.filterwarnings("ignore:Class-scoped fixtures defined as instance methods"))
        reason = OUT_OF_SCOPE.get(item.name.partition("[")[0])
        if reason:
            item.add_marker(pytest.mark.skip(reason=f"not for a headless runner: {reason}"))


@pytest.fixture(scope="session")
def args_pytest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What ComfyUI's own conftest takes from the command line."""
    return {"output_dir": str(tmp_path_factory.mktemp("output")), "listen": "127.0.0.1", "port": 0}


@pytest.fixture(scope="session")
def skip_timing_checks() -> bool:
    """As on ComfyUI's own busy machines; tests/graph shows without a clock that async nodes overlap."""
    return True
