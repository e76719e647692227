"""Clusters of two nodes on this machine: the file of one process, also when nothing is shared. Bad inputs are sentences."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import yaml
from upscale8k.nodes.hardware import HWProbe
from upscale8k.runtime.checksum import compute_sha256
from upscale8k.runtime.cli import doctor, main
from upscale8k.runtime.distributed import describe_workers
from upscale8k.runtime.distributed.order import Item, read_order
from upscale8k.runtime.distributed.ray_cluster import cluster, ray_node, ray_pool
from upscale8k.runtime.distributed.ray_cluster.cluster import import_ray, join_cluster
from upscale8k.runtime.distributed.ray_cluster.needed_files import list_needed_files
from upscale8k.runtime.distributed.ray_cluster.ray_pool import open_ray_pool
from upscale8k.runtime.distributed.tries import TryName, WorkFolder
from upscale8k.runtime.distributed.worker_choice import WorkerChoice, join_share, parse_workers
from upscale8k.runtime.errors import HardwareMissing, NodeError, WorkflowError
from upscale8k.runtime.host import LocalHost
from upscale8k.runtime.paths import read_version
from upscale8k.runtime.video import SegmentFolder

from .test_orders import ORDER
from .test_same_bytes import EVENTS, Run, assert_same, runs, write_clip
from .test_simulated_items import FRAMES, Job, make_segment

__all__ = ["runs"]  # a fixture


@pytest.mark.parametrize("address", ["local", "auto", "10.0.0.5:6379", "head.example:1"])
def test_the_address_of_a_cluster(address: str) -> None:
    assert parse_workers(f"ray:{address}") == WorkerChoice(ray_address=address)


def test_shared_folders_of_a_cluster() -> None:
    shares = (("/mnt/Videos", "/mnt/Videos"), ("C:/a b", "/data"))
    assert parse_workers("RAY:auto share=/mnt/Videos share=C:/a b=/data") == WorkerChoice(ray_address="auto", shares=shares)
    assert join_share("ray:auto", "/mnt/a=/b") == "ray:auto share=/mnt/a=/b"
    assert join_share("2", "") == "2"


@pytest.mark.parametrize("text", ["ray", "ray:", "ray:host", "ray:host:port", "ray:a b:1", "ray://host:1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(WorkflowError, match="Unknown workers"):
        parse_workers(text)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--workers", "2", "--share", "/mnt"), "share=/mnt is for a Ray cluster, and the workers are '2'."),
        (("--share", "/mnt"), "share=/mnt is for a Ray cluster, and the workers are ''."),
        (("--workers", "ray:auto", "--share", "=/there"), "share= names no folder."),
    ],
)
def test_a_share_that_is_none_is_a_sentence(capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str) -> None:
    assert main(["upscale", "in.mp4", *options]) == 2
    assert said in capsys.readouterr().err


def test_without_ray_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(HardwareMissing, match=r"Ray is not installed\. Install it: pip install \"upscale8k\[ray\]\"\."):
        import_ray()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


class FakeActor:
    """An actor of this process, whose calls are answered at once."""

    def __init__(self, actor: Any, ray: "FakeRay") -> None:
        self.actor, self.ray = actor, ray
        self.call = SimpleNamespace(remote=self._call)

    def _call(self, method: str, *arguments: Any) -> tuple[str, Any]:
        self.ray.pieces_on_the_way += method == "write_piece"
        self.ray.most_pieces_on_the_way = max(self.ray.most_pieces_on_the_way, self.ray.pieces_on_the_way)
        answers = self.ray.answers
        return method, answers[method] if method in answers else self.actor.call(method, *arguments)


class FakeRay:
    """As much of Ray as is used: nodes, actors, and an ``init`` that may fail. ``answers``: instead of the node's."""

    exceptions = SimpleNamespace(RayError=ConnectionError, GetTimeoutError=TimeoutError)

    def __init__(
        self, nodes: list[dict[str, Any]], answers: dict[str, Any] | None = None, problem: Exception | None = None
    ) -> None:
        self.nodes, self.answers, self._problem = lambda: nodes, answers or {}, problem
        self.options: list[dict[str, Any]] = []
        self.ended = self.pieces_on_the_way = self.most_pieces_on_the_way = 0

    def is_initialized(self) -> bool:
        return False

    def init(self, **_: object) -> None:
        if self._problem:
            raise self._problem

    def shutdown(self) -> None:
        self.ended += 1

    def remote(self, actor_class: type) -> Any:
        def place(*arguments: Any) -> FakeActor:
            return FakeActor(actor_class(*arguments), self)

        return SimpleNamespace(options=lambda **options: self.options.append(options) or SimpleNamespace(remote=place))

    def get(self, call: tuple[str, Any] | list[tuple[str, Any]], timeout: float | None = None) -> Any:
        if isinstance(call, list):
            return list(map(self.get, call))
        method, answer = call
        self.pieces_on_the_way -= method == "write_piece"
        if isinstance(answer, Exception):
            raise answer
        return answer

    def kill(self, _: object) -> None:
        self.ended += 1


def make_node(name: str, **resources: float) -> dict[str, Any]:
    return {"NodeID": name, "NodeName": name, "Alive": True, "Resources": resources}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., FakeRay]:
    """Use a cluster of these nodes, whose folders are in ``tmp_path/cache``."""

    def use(*nodes: dict[str, Any], **options: Any) -> FakeRay:
        ray = FakeRay(list(nodes), **options)
        loaders = {
            "ray": ray,
            "ray.util.scheduling_strategies": SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node, soft: (node, soft)),
        }
        load = cluster.import_module
        monkeypatch.setattr(cluster, "import_module", lambda name: loaders.get(name) or load(name))
        monkeypatch.setattr(cluster, "PACK_ROOT", tmp_path)  # no checkout: the package is there already
        monkeypatch.setattr(ray_pool, "_POLL_SECONDS", 0.02)
        monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "cache"))
        return ray

    return use


@pytest.fixture
def order_path(tmp_path: Path) -> Path:
    folder = tmp_path / "o.mp4.parts"
    folder.mkdir()
    ORDER.write(folder / "order.json")
    return folder / "order.json"


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
    order_path: Path, fake: Callable[..., FakeRay], problem: Exception, said: str
) -> None:
    fake(make_node("a", CPU=2), problem=problem)
    pool = open_ray_pool("auto", (), order_path, print)
    with (
        pytest.raises(WorkflowError, match=r"No Ray cluster answers at auto: .*check address, network and token") as error,
        pool,
    ):
        pass
    assert f"{said}. Start one with" in str(error.value)


def test_an_address_without_a_cluster_is_a_sentence_before_ray_waits_for_it(fake: Callable[..., FakeRay]) -> None:
    fake(problem=RuntimeError("asked"))
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{reserved.getsockname()[1]}"
        with pytest.raises(WorkflowError, match=rf"No Ray cluster answers at {address}: .*refused"), join_cluster(address):
            pass


def test_a_cluster_without_gpus_and_cores_is_a_sentence(order_path: Path, fake: Callable[..., FakeRay]) -> None:
    ray = fake(make_node("a"))
    with (
        pytest.raises(WorkflowError, match="neither GPUs nor cores, so there are no workers"),
        open_ray_pool("auto", (), order_path, print),
    ):
        pass
    assert ray.ended == 1


OTHER_VERSION = {"version": "0.0.1", "versions": {"av": "1.0"}, "gpus": []}
REFUSALS = [
    ({"describe": ("It lacks Upscale8K of this version.", None)}, (), "It lacks Upscale8K of this version."),
    ({"describe": ("", OTHER_VERSION)}, (), f"It has Upscale8K 0.0.1, and this machine {read_version()}"),
    ({"describe": ("", {**OTHER_VERSION, "version": read_version()})}, (), "It has PyAV 1.0, and this machine "),
    ({"describe": ConnectionError()}, (), "its node is gone"),
    ({}, (("/", "/no/such/folder"),), "It does not see the shared folder /no/such/folder."),
    ({"sees_order": ("", False)}, (("/", "/"),), "which is in a shared folder."),
    ({"find_end": ("", (1, "Error: node 1 (VideoIn): 'clip.mp4' is not in the input folder."))}, (), "'clip.mp4' is not in"),
    ({"find_end": ("", (-9, ""))}, (), "it ended with code -9"),
]


@pytest.mark.parametrize(("answers", "shares", "reason"), REFUSALS)
def test_when_every_worker_refuses_the_reason_of_the_last_is_said(
    order_path: Path, fake: Callable[..., FakeRay], answers: dict[str, Any], shares: Any, reason: str
) -> None:
    fake(make_node("a", CPU=2), make_node("b", CPU=2), answers={"start": ("", None), **answers})
    said: list[str] = []
    before = sorted(order_path.parent.iterdir())
    with (
        pytest.raises(NodeError, match="No worker is left") as error,
        open_ray_pool("auto", shares, order_path, said.append) as pool,
    ):
        while True:
            pool.find_lost()
    assert reason in str(error.value)
    assert sorted(text.split(" ended: ")[0] for text in said) == ["worker 1 on a", "worker 2 on b"]
    assert all(reason in text for text in said)
    assert sorted(order_path.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("change", "is_seen", "reason"),
    [
        ({"bands": ((0, 0, 9),), "items": ()}, False, "as a large image and many files need"),
        ({"files": ({"source": "a"},), "items": ()}, True, "the same path on every machine"),
    ],
)
def test_images_and_files_need_a_shared_folder(
    order_path: Path, fake: Callable[..., FakeRay], change: dict[str, Any], is_seen: bool, reason: str
) -> None:
    fake(make_node("a", CPU=2), answers={"sees_order": ("", is_seen)})
    replace(ORDER, **change).write(order_path)
    shares = [(str(order_path.parent), "/")] if is_seen else []
    with pytest.raises(NodeError, match=reason), open_ray_pool("auto", shares, order_path, print) as pool:
        while True:
            pool.find_lost()


def test_a_shared_folder_may_have_another_path_on_the_nodes(
    tmp_path: Path, fake: Callable[..., FakeRay], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(make_node("a", CPU=2))
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "o.mp4.parts").mkdir(parents=True)
    there.symlink_to(here)
    path = here / "o.mp4.parts" / "order.json"
    replace(ORDER, input_dir=str(here / "in"), models_dirs=(str(here / "models"), "/models")).write(path)
    started: list[list[str]] = []
    ended = SimpleNamespace(poll=lambda: 3, kill=lambda: None, wait=lambda: None)
    monkeypatch.setattr(ray_node.subprocess, "Popen", lambda command, **_: started.append(command) or ended)
    shares = [(str(here), str(there))]
    with pytest.raises(NodeError, match="it ended with code 3"), open_ray_pool("auto", shares, path, print) as pool:
        while True:
            pool.find_lost()
    folders = ["--input-dir", str(there / "in"), "--models-dir", str(there / "models"), "--models-dir", "/models"]
    order = str(there / "o.mp4.parts" / "order.json")
    assert started[0][started[0].index("work") :] == ["work", order, "--attached", "worker 1 on a", *folders]


def test_a_worker_gets_a_gpu_and_its_share_of_the_cores(order_path: Path, fake: Callable[..., FakeRay]) -> None:
    ray = fake(
        make_node("a", CPU=16, GPU=2),
        make_node("head", CPU=4),
        make_node("b", CPU=6, GPU=1),
        answers={"describe": ConnectionError()},
    )
    with open_ray_pool("auto", (), order_path, print):
        placed = [(each["scheduling_strategy"][0], each["num_cpus"], each["num_gpus"]) for each in ray.options]
    assert placed == [("a", 8, 1), ("a", 8, 1), ("b", 6, 1)]


def test_the_example_of_a_cluster_is_one_to_ray(root: Path) -> None:
    util = pytest.importorskip("ray.autoscaler._private.util", reason='needs Ray: pip install "upscale8k[ray]"')
    config = yaml.safe_load((root / ".github" / "ray_cluster.yaml").read_text(encoding="utf-8"))
    util.validate_config(util.prepare_config(config))
    started = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    assert sum("RAY_AUTH_MODE=token" in command for command in started) == 2


class ThreadProcess:
    """A process of a node that makes the items of ``test_simulated_items`` as a thread; item 1 fails once."""

    commands: list[list[str]]
    stdin = None

    def __init__(self, command: list[str], **_: object) -> None:
        self.commands.append(command)
        path = Path(command[command.index("work") + 1])
        order = read_order(path)
        self.work = WorkFolder(SegmentFolder(path.parent.with_suffix("")), order.id, order.is_offered)
        self.thread = threading.Thread(target=self._make_items, args=(len(order.items), self.seen_input(command)), daemon=True)
        self.thread.start()

    def seen_input(self, command: list[str]) -> bytes:
        return (Path(command[command.index("--input-dir") + 1]) / "clip.mkv").read_bytes()

    def _make_items(self, count: int, source: bytes) -> None:
        for name, folder in self.work.take_items(range(count), "there"):
            if name == TryName(1, 1):
                self.work.fail_try(name, "an accident")
            else:
                folder.append_segment(make_segment(folder, name.item, f"{source!r} {name.item}" * 9))
                folder.mark_complete(FRAMES)
                self.work.finish_try(name, {"steps": FRAMES})

    def poll(self) -> int | None:
        return None

    def kill(self) -> None:
        shutil.rmtree(self.work.path)  # by which it ends

    def wait(self) -> None:
        self.thread.join(10)


def test_where_nothing_is_shared_sources_go_out_once_and_segments_come_back(
    tmp_path: Path, fake: Callable[..., FakeRay], monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = fake(make_node("a", CPU=2, GPU=2), answers={"sees_order": ("", False)})
    ThreadProcess.commands = []
    monkeypatch.setattr(ray_node.subprocess, "Popen", ThreadProcess)
    monkeypatch.setattr(ray_node, "_is_at", lambda *_: False)
    monkeypatch.setattr(ray_pool, "_PIECE_BYTES", 7)
    source = tmp_path / "in" / "clip.mkv"
    source.parent.mkdir()
    source.write_bytes(bytes(range(60)))
    job = Job(tmp_path, 6)
    order = replace(
        ORDER,
        prompt={"1": {"class_type": "VideoIn", "inputs": {"video": "clip.mkv", "frame_cap": 0}}},
        input_dir=str(source.parent),
        items=tuple(Item(number, number * FRAMES, FRAMES, None) for number in range(6)),
    )
    order.write(job.target.get_order_path())
    said: list[str] = []
    with open_ray_pool("auto", (), job.target.get_order_path(), said.append) as pool:
        while not job.collector.is_done:
            job.collector.release(pool.find_lost())
            job.collector.poll()
    assert job.committed != []
    assert sorted(job.committed) == list(range(6))
    for number in range(6):
        assert (job.target.folder / f"{number:06}.mp4").read_text() == f"{source.read_bytes()!r} {number}" * 9
    assert [text for text in job.messages if "an accident" in text]
    assert [text for text in said if "sent once" in text] == ["a lacks clip.mkv: 0 MB are sent once."], (
        "two workers of one node"
    )
    assert len(ThreadProcess.commands) == 2
    assert (ray.most_pieces_on_the_way, ray.pieces_on_the_way) == (3, 0), "of nine: no source is in memory"
    cached = list((tmp_path / "cache" / "ray" / "files").iterdir())
    assert [path.name for path in cached] == [compute_sha256(source)]
    assert not list((tmp_path / "cache" / "ray" / "jobs").iterdir())


def test_needed_files_are_those_that_texts_of_the_prompt_name(tmp_path: Path) -> None:
    for name in (
        "in/clip.mkv",
        "in/shots/01.png",
        "in/shots/02.png",
        "in/8k",
        "models/a.onnx",
        "models/b.bin",
        "models/b.param",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "models" / "engine.trt").write_bytes(b"of one GPU")
    prompt = {
        "1": {"class_type": "VideoIn", "inputs": {"video": "clip.mkv [input]", "start": 0.0}},
        "2": {"class_type": "SequenceIn", "inputs": {"pictures": "shots/%02d.png"}},
        "3": {"class_type": "UpscaleModel", "inputs": {"model": "b.bin"}},
        "4": {"class_type": "UpscaleModel", "inputs": {"model": "realesr-animevideov3"}},
        "5": {
            "class_type": "TiledUpscaleVideo",
            "inputs": {"steady_network": "a.onnx", "engine": "engine.trt", "video": ["1", 0]},
        },
        "6": {"class_type": "VideoOut", "inputs": {"filename_prefix": "../clip.mkv", "preset": "", "codec": "hevc"}},
    }
    order = replace(ORDER, prompt=prompt, input_dir=str(tmp_path / "in"), models_dirs=(str(tmp_path / "models"),))
    found = {(file.kind, file.name): file.path for file in list_needed_files(order)}
    models = {("model", name): str(tmp_path / "models" / name) for name in ("a.onnx", "b.bin", "b.param")}
    inputs = {("input", name): str(tmp_path / "in" / name) for name in ("clip.mkv", "shots/01.png", "shots/02.png")}
    assert found == models | inputs


def make_needed(path: Path, name: str = "") -> dict[str, Any]:
    stat = path.stat()
    values = {
        "kind": "input",
        "name": name or path.name,
        "path": str(path),
        "bytes": stat.st_size,
        "modified": stat.st_mtime_ns,
    }
    return {**values, "sha256": compute_sha256(path)}


def send(node: ray_node.RayNode, path: Path) -> None:
    sha256 = compute_sha256(path)
    node.begin_file(sha256, path.stat().st_size)
    node.write_piece(sha256, 0, path.read_bytes())
    node.finish_file(sha256)


def test_the_cache_of_a_node_is_bounded_and_keeps_what_is_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(ray_node, "_MAX_CACHE_BYTES", 250)
    paths = [tmp_path / f"{number}" for number in range(4)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * 100)
    node = ray_node.RayNode("w")
    cache = tmp_path / "cache" / "ray" / "files"
    for used, path in enumerate(paths[:2]):
        send(node, path)
        os.utime(cache / compute_sha256(path), (used, used))
    os.link(cache / compute_sha256(paths[0]), tmp_path / "in use")
    send(node, paths[2])
    assert {path.name for path in cache.iterdir()} == {compute_sha256(path) for path in (paths[0], paths[2])}
    with pytest.raises(Exception, match="changed while it was sent"):
        node.begin_file(compute_sha256(paths[3]), 100)
        node.finish_file(compute_sha256(paths[3]))
    monkeypatch.setattr(ray_node.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(Exception, match="free, and what is sent needs"):
        node.begin_file("0", 100)


def test_weights_come_from_the_folders_of_the_node_if_they_have_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UPSCALE8K_MODELS_DIR", str(tmp_path / "own"))
    for folder, content in (("here", b"weights"), ("own", b"weights"), ("other", b"Weights")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.pth").write_bytes(content)
    needed = {**make_needed(tmp_path / "here" / "x.pth"), "kind": "model"}
    assert ray_node.RayNode("w").find_missing([needed]) == []
    (tmp_path / "own" / "x.pth").write_bytes(b"Weights")
    assert ray_node.RayNode("w").find_missing([needed]) == [0]


def test_images_of_a_sequence_with_the_same_bytes_keep_their_own_dates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "cache"))
    started: list[list[str]] = []
    monkeypatch.setattr(ray_node.subprocess, "Popen", lambda command, **_: started.append(command))
    needed = []
    for number in range(3):
        path = tmp_path / f"{number}.png"
        path.write_bytes(b"black")
        os.utime(path, (number, number))
        needed.append(make_needed(path, f"shots/{number}.png"))
    node = ray_node.RayNode("w")
    send(node, path)
    assert node.find_missing(needed) == []
    node.start(str(tmp_path / "order.json"), "", needed, {"input": [], "model": ["/models"]})
    assert started[0][-2:] == ["--models-dir", "/models"]
    folder = Path(started[0][started[0].index("--input-dir") + 1])
    assert [(folder / f"shots/{number}.png").stat().st_mtime for number in range(3)] == [0, 1, 2]
    node.close()
    assert not folder.exists()


def test_a_worker_removes_the_folders_of_dead_ones_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(ray_node.subprocess, "Popen", lambda *_, **__: None)
    jobs = tmp_path / "cache" / "ray" / "jobs"
    (jobs / "dead" / "input").mkdir(parents=True)
    (jobs / "dead.lock").touch()

    def start() -> ray_node.RayNode:
        node = ray_node.RayNode("w")
        node.start(str(tmp_path / "order.json"), "", [], {"input": [], "model": []})
        return node

    nodes = [start(), start()]
    assert len([path for path in jobs.iterdir() if path.is_dir()]) == 2
    assert not (jobs / "dead").exists()
    for node in nodes:
        node.close()
    assert not list(jobs.iterdir())


def test_nodes_that_start_at_once_do_not_take_each_other_for_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(ray_node.subprocess, "Popen", lambda *_, **__: None)

    def start_and_close(_: int) -> None:
        node = ray_node.RayNode("w")
        node.start(str(tmp_path / "order.json"), "", [], {"input": [], "model": []})
        node.close()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(start_and_close, range(400)))
    assert not list((tmp_path / "cache" / "ray" / "jobs").iterdir())


def test_a_cluster_is_described_with_the_reasons_to_refuse(fake: Callable[..., FakeRay]) -> None:
    fake(make_node("a", CPU=2))
    ((sentence, can_work),) = describe_workers("ray:auto")
    assert sentence.startswith("a: 2 cores, ")
    assert (sentence.endswith("It can work."), can_work) == (True, True)
    fake(make_node("a", CPU=2, GPU=1), answers={"describe": ("", {**OTHER_VERSION, "gpus": ["NVIDIA X"]})})
    ((sentence, can_work),) = describe_workers("ray:auto")
    assert sentence.startswith("a: 2 cores, NVIDIA X, PyAV 1.0. It has Upscale8K 0.0.1, and this machine")
    assert not can_work


def test_doctor_probe_and_the_node_show_what_workers_offer(
    fake: Callable[..., FakeRay], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fake(make_node("a", CPU=2), make_node("b", CPU=1), answers={"describe": ("It lacks Upscale8K.", None)})
    monkeypatch.setattr(doctor, "check_installation", lambda *_: [])
    findings = [(each.level, each.what) for each in doctor.diagnose(tmp_path, "ray:auto")]
    assert findings[-2:] == [
        ("problem", f"{name}: {cores} cores, 0 GPUs. It lacks Upscale8K.") for name, cores in (("a", 2), ("b", 1))
    ]
    assert main(["probe", "--workers", "ray:auto"]) == 0
    assert capsys.readouterr().out.splitlines()[-3:] == ["Workers", *(f"{'':18}{sentence}" for _, sentence in findings[-2:])]
    node = HWProbe()
    node.host = LocalHost()
    (text,) = node.run(workers="ray:auto")["ui"]["text"]
    assert text.splitlines()[-1].strip() == findings[-1][1]
    assert HWProbe.VALIDATE_INPUTS(workers="ray:") is not True


def test_where_no_workers_are_named_none_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["probe"]) == 0
    assert list(describe_workers("")) == []
    assert list(describe_workers("ray:auto")) == [('Ray is not installed. Install it: pip install "upscale8k[ray]".', False)]
    assert [can_work for _, can_work in describe_workers("3")] == [True] * 3


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Any]:
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason='needs Ray: pip install "upscale8k[ray]"')
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    two_nodes = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    two_nodes.add_node(num_cpus=1)
    yield two_nodes
    two_nodes.shutdown()


def catch_worker(run: Run) -> psutil.Process:
    """The process of a worker that has an item, of any node."""
    found: list[psutil.Process] = []

    def look() -> bool:
        for beat in sorted(run.parts.glob("order.work/*/*.parts/beat.json")):
            with suppress(OSError, ValueError):
                name = json.loads(beat.read_text())["worker"]
                found.extend(each for each in psutil.process_iter(["cmdline"]) if name in (each.info["cmdline"] or ()))
        return bool(found)

    run.wait_for(look)
    return found[0]


def kill_driver(run: Run, _: object) -> None:
    run.wait_for(lambda: len(list(run.parts.glob("00*"))) >= 2)
    run.process.kill()
    run.process.wait()


def remove_node(run: Run, two_nodes: Any) -> None:
    catch_worker(run)
    two_nodes.remove_node(next(iter(two_nodes.worker_nodes)))


def let_happen(name: str, run: Run, _: object) -> None:
    EVENTS[name][0](catch_worker(run), run.parts, lambda: None)


RAY_EVENTS: dict[str, tuple[Callable[[Run, Any], object], str]] = {
    "nothing": (lambda *_: None, "by worker 1 on"),
    "killed": (partial(let_happen, "killed"), "ended: it ended with code -9"),
    "frozen": (partial(let_happen, "frozen"), "gave no sign of life for 4 seconds."),
    "full disk": (partial(let_happen, "full disk"), "failed and will be made again: worker "),
    "driver killed": (kill_driver, "Resuming after"),
    "node removed": (remove_node, "ended: its node is gone"),  # the last, because it does not come back
}


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("event", RAY_EVENTS)
def test_two_nodes_write_the_file_of_one_process_whatever_happens(
    tmp_path: Path, runs: Callable[..., Run], two_nodes: Any, event: str
) -> None:
    source = write_clip(tmp_path / "in.mkv", 60, variable=True)
    runs(source, "one", "mp4", "0").finish()
    happens, said = RAY_EVENTS[event]
    run = runs(source, "two", "mp4", f"ray:{two_nodes.address}")
    happens(run, two_nodes)
    log = runs(source, "two", "mp4", f"ray:{two_nodes.address}").finish() if event == "driver killed" else run.finish()
    assert said in log, [line for line in log.splitlines() if '"message"' in line]
    assert_same(tmp_path, "mp4", "two")


NODE = """
mount -t tmpfs none {hidden} && export UPSCALE8K_CACHE_DIR={hidden}/cache HOME={hidden} &&
exec {ray} start --address={address} --num-cpus=1 --block --disable-usage-stats
"""


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(
    subprocess.run(["unshare", "-rm", "true"], check=False).returncode != 0 if shutil.which("unshare") else True,
    reason="needs mounts of its own: Linux with unshare, as root or with user namespaces",
)
def test_a_node_that_shares_nothing_writes_the_file_of_one_process(tmp_path: Path, runs: Callable[..., Run]) -> None:
    """The only worker sees an empty folder where source and result are."""
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason='needs Ray: pip install "upscale8k[ray]"')
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    source = write_clip(tmp_path / "in.mkv", 60, variable=True)
    runs(source, "one", "mp4", "0").finish()
    head = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    ray = Path(sys.executable).with_name("ray")
    script = NODE.format(hidden=tmp_path, ray=ray, address=head.address)
    node = subprocess.Popen(["unshare", "-rm", "sh", "-c", script], stdout=subprocess.DEVNULL)
    try:
        run = runs(source, "alone", "mp4", f"ray:{head.address}")
        log = run.finish()
        assert "lacks in.mkv: 0 MB are sent once." in log
        assert "its results come as bytes" in log
        assert_same(tmp_path, "mp4", "alone")
    finally:
        node.terminate()
        node.wait(60)
        head.shutdown()
