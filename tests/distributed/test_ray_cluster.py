"""A cluster of two nodes on this machine: the file of one process, also when a node is removed. Bad inputs are sentences."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from upscale8k.runtime.distributed import ray_cluster
from upscale8k.runtime.distributed.ray_cluster import import_ray, open_ray_pool
from upscale8k.runtime.distributed.worker_choice import WorkerChoice, parse_workers
from upscale8k.runtime.errors import HardwareMissing, NodeError, WorkflowError

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


class FakeRay:
    """As much of Ray as a pool calls: nodes, actors that answer at once, and an ``init`` that may fail."""

    exceptions = SimpleNamespace(RayError=ConnectionError)

    def __init__(
        self, nodes: list[dict[str, Any]], answer: Any = (2, "Error: it says why."), problem: Exception | None = None
    ) -> None:
        self.nodes, self._answer, self._problem = lambda: nodes, answer, problem
        self.options: list[dict[str, Any]] = []
        self.ended = 0

    def is_initialized(self) -> bool:
        return False

    def init(self, **_: object) -> None:
        if self._problem:
            raise self._problem

    def shutdown(self) -> None:
        self.ended += 1

    def remote(self, _: type) -> Any:
        wait = SimpleNamespace(remote=lambda: "call")
        placed = SimpleNamespace(remote=lambda *_: SimpleNamespace(wait=wait))
        return SimpleNamespace(options=lambda **options: self.options.append(options) or placed)

    def wait(self, calls: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        assert timeout == 0
        return calls, []

    def get(self, _: object) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def kill(self, _: object) -> None:
        self.ended += 1


def make_node(name: str, **resources: float) -> dict[str, Any]:
    return {"NodeID": name, "NodeName": name, "Alive": True, "Resources": resources}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeRay]:
    def use(*nodes: dict[str, Any], **options: Any) -> FakeRay:
        ray = FakeRay(list(nodes), **options)
        monkeypatch.setattr(ray_cluster, "import_ray", lambda: ray)
        strategies = SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node_id, soft: (node_id, soft))
        monkeypatch.setattr(ray_cluster, "import_module", lambda _: strategies)
        return ray

    return use


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (
            RuntimeError("Token authentication is enabled but no authentication token was found\nmore"),
            "but no authentication token was found",
        ),
        (
            RuntimeError("Version mismatch: The cluster was started with: Ray: 2.59.0"),
            "The cluster was started with: Ray: 2.59.0",
        ),
        (ConnectionError(), "ConnectionError"),
    ],
)
def test_a_cluster_that_refuses_is_a_sentence(
    tmp_path: Path, fake: Callable[..., FakeRay], problem: Exception, said: str
) -> None:
    fake(make_node("a", CPU=2), problem=problem)
    pool = open_ray_pool("head:1", tmp_path / "order.json", print)
    with (
        pytest.raises(WorkflowError, match=r"No Ray cluster answers at head:1: .*check address, network and token") as error,
        pool,
    ):
        pass
    assert f"{said}. Start one with" in str(error.value)


@pytest.mark.parametrize("nodes", [[], [{**make_node("gone", CPU=4), "Alive": False}], [make_node("head", memory=9)]])
def test_a_cluster_without_workers_is_a_sentence(tmp_path: Path, fake: Callable[..., FakeRay], nodes: list[Any]) -> None:
    ray = fake(*nodes)
    pool = open_ray_pool("auto", tmp_path / "order.json", print)
    with pytest.raises(WorkflowError, match="neither GPUs nor cores, so there are no workers"), pool:
        pass
    assert ray.ended == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [((2, "Error: The order is of version 1."), "The order is of version 1."), (ConnectionError(), "its node is gone")],
)
def test_when_every_worker_refuses_the_reason_of_the_last_is_said(
    tmp_path: Path, fake: Callable[..., FakeRay], answer: Any, reason: str
) -> None:
    fake(make_node("a", CPU=2), make_node("b", CPU=2), answer=answer)
    said: list[str] = []
    with open_ray_pool("auto", tmp_path / "order.json", said.append) as pool, pytest.raises(NodeError, match=reason):
        pool.find_lost()
    assert said == [f"worker {number} on {name} ended: {reason}" for number, name in ((1, "a"), (2, "b"))]


def test_a_worker_gets_a_gpu_and_its_share_of_the_cores(tmp_path: Path, fake: Callable[..., FakeRay]) -> None:
    ray = fake(make_node("a", CPU=16, GPU=2), make_node("head", CPU=4), make_node("b", CPU=6, GPU=1))
    with open_ray_pool("auto", tmp_path / "order.json", print):
        placed = [(each["scheduling_strategy"][0], each["num_cpus"], each["num_gpus"]) for each in ray.options]
    assert placed == [("a", 8, 1), ("a", 8, 1), ("b", 6, 1)]


def test_the_example_of_a_cluster_is_one_to_ray(root: Path) -> None:
    util = pytest.importorskip("ray.autoscaler._private.util")
    config = yaml.safe_load((root / ".github" / "ray_cluster.yaml").read_text(encoding="utf-8"))
    util.validate_config(util.prepare_config(config))
    started = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    assert sum("RAY_AUTH_MODE=token" in command for command in started) == 2


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
