"""A cluster of two nodes on this machine: the file of one process, also when a node is removed. Bad inputs are sentences."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from upscale8k.runtime.distributed.ray_cluster import import_ray, open_ray_pool
from upscale8k.runtime.distributed.worker_choice import WorkerChoice, parse_workers
from upscale8k.runtime.errors import HardwareMissing, WorkflowError

from .test_same_bytes import Run, assert_same, runs, write_clip

__all__ = ["runs"]  # a fixture


@pytest.mark.parametrize("address", ["local", "auto", "10.0.0.5:6379", "head.example:1"])
def test_the_address_of_a_cluster(address: str) -> None:
    assert parse_workers(f"ray:{address}") == WorkerChoice(ray_address=address)


@pytest.mark.parametrize("text", ["ray", "ray:", "ray:host", "ray:host:port", "ray:a b:1", "ray://host:1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(WorkflowError, match="Unknown workers"):
        parse_workers(text)


def test_without_ray_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(HardwareMissing, match=r"Ray is not installed\. Install it: pip install \"upscale8k\[ray\]\"\."):
        import_ray()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_an_address_without_a_cluster_is_a_sentence(tmp_path: Path) -> None:
    pool = open_ray_pool("127.0.0.1:9", tmp_path / "order.json", print)
    with pytest.raises(WorkflowError, match=r"No Ray cluster answers at 127\.0\.0\.1:9"), pool:
        pass


@pytest.fixture
def cluster() -> Iterator[Any]:
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_two_nodes_of_which_one_is_removed_write_the_file_of_one_process(
    tmp_path: Path, runs: Callable[..., Run], cluster: Any
) -> None:
    source = write_clip(tmp_path / "in.mkv", 60, variable=True)
    runs(source, "one", "mp4", "0").finish()
    workers = f"ray:{cluster.address}"
    log = runs(source, "two nodes", "mp4", workers).finish()
    assert "by worker 1 on" in log
    assert_same(tmp_path, "mp4", "two nodes")
    run = runs(source, "node removed", "mp4", workers)
    run.wait_for(lambda: list(run.parts.glob("order.work/*/*.1.parts/beat.json")))
    cluster.remove_node(next(iter(cluster.worker_nodes)))
    run.finish()
    assert_same(tmp_path, "mp4", "node removed")
