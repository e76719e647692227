"""Workers on the nodes of a Ray cluster that see the folder of the result at the same path.

Ray places one process per GPU, or per node without any, and tells when it is gone; items, frames and results go through the
folder as everywhere. Each process is the command ``work``, which refuses other versions, weights or sources itself.
"""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import HardwareMissing, NodeError, WorkflowError
from ..paths import PACK_ROOT
from ..progress import OnMessage


@dataclass
class _Worker:
    name: str
    actor: Any
    answer: Any = None
    """The call in flight that asks for its end."""


class RayPool:
    """Processes on the nodes of a cluster."""

    def __init__(self, ray: Any, order_path: Path, on_message: OnMessage) -> None:
        self._ray, self._on_message = ray, on_message
        self._workers = [_Worker(name, actor) for name, actor in _start_actors(ray, order_path)]

    def find_lost(self) -> list[str]:
        """See ``WorkerPool``. Ray does not start a process again: the others go on."""
        lost: list[str] = []
        reason = ""
        for worker in list(self._workers):
            worker.answer = worker.answer or worker.actor.wait.remote()
            done, _ = self._ray.wait([worker.answer], timeout=0)
            if not done:
                continue
            try:
                code, line = self._ray.get(worker.answer)
                reason = line.removeprefix("Error: ") or f"it ended with code {code}"
            except self._ray.exceptions.RayError:
                reason = "its node is gone"
            self._workers.remove(worker)
            lost.append(worker.name)
            self._on_message(f"{worker.name} ended: {reason}")
        if not self._workers:
            raise NodeError(f"No worker is left. {reason}", "Finished parts are kept: run the same command again to go on.")
        return lost

    def close(self) -> None:
        for worker in self._workers:
            self._ray.kill(worker.actor)


@contextmanager
def open_ray_pool(address: str, order_path: Path, on_message: OnMessage) -> Generator[RayPool]:
    """Join the cluster at ``address`` (``local`` starts one here) and start a worker for each GPU or node; end them afterwards.

    Raises ``WorkflowError`` if no cluster answers, or it has neither GPUs nor cores.
    """
    ray = import_ray()
    was_connected = ray.is_initialized()
    if not was_connected:
        _connect(ray, address)
    try:
        pool = RayPool(ray, order_path, on_message)
        try:
            yield pool
        finally:
            pool.close()
    finally:
        if not was_connected:
            ray.shutdown()


def import_ray() -> Any:
    """Return the package, without its usage reports. Raises ``HardwareMissing`` if it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        return import_module("ray")
    except ImportError as error:
        what = "Ray is not installed."
        raise HardwareMissing(what, 'Install it: pip install "upscale8k[ray]".', feature="ray") from error


def _connect(ray: Any, address: str) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        options["include_dashboard"] = False
    try:
        ray.init(address=address, **options)
    except Exception as error:  # Ray raises many kinds, RuntimeError and ConnectionError among them
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise WorkflowError(
            f"No Ray cluster answers at {address}: {reason}.",
            "Start one with `ray start --head`, and check address, network and token.",
            input_name="workers",
        ) from error


def _start_actors(ray: Any, order_path: Path) -> Generator[tuple[str, Any]]:
    """Start an actor for each GPU of the cluster; without any, for each node with all its cores."""
    strategy = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
    nodes = [(node["NodeID"], node["NodeName"], node["Resources"]) for node in ray.nodes() if node["Alive"]]
    has_gpus = any(resources.get("GPU", 0) >= 1 for _, _, resources in nodes)
    make_actor = ray.remote(_make_actor_class())
    count = 0
    for node_id, node_name, resources in nodes:
        cores, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
        slots = gpus if has_gpus else min(cores, 1)
        for _ in range(slots):
            count += 1
            name = f"worker {count} on {node_name}"
            options = {"num_cpus": cores // slots, "num_gpus": int(has_gpus)}
            placed = make_actor.options(**options, scheduling_strategy=strategy(node_id, soft=False), max_concurrency=2)
            yield name, placed.remote(str(PACK_ROOT), str(order_path), name)
    if not count:
        what = "The Ray cluster has neither GPUs nor cores, so there are no workers."
        raise WorkflowError(what, "Add nodes: ray start --address=HOST:PORT.", input_name="workers")


def _make_actor_class() -> type:
    """Return a class that Ray sends as code: on its node nothing of ours can be imported before the process is started.

    The process ends with it, because its standard input does.
    """

    class Launcher:
        def __init__(self, pack_root: str, order_path: str, name: str) -> None:
            is_checkout = Path(pack_root, "runtime", "__main__.py").is_file() and Path(pack_root, "pyproject.toml").is_file()
            command = [sys.executable, "-m", "runtime" if is_checkout else "upscale8k", "work", order_path, "--attached", name]
            self.process = subprocess.Popen(
                command,
                cwd=pack_root if is_checkout else None,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )

        def wait(self) -> tuple[int, str]:
            """Wait for the end; return the exit code and the last line of errors."""
            assert self.process.stderr
            lines = self.process.stderr.read().decode(errors="replace").strip().splitlines()
            return self.process.wait(), lines[-1] if lines else ""

    return Launcher
