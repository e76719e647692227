"""How a Ray cluster is joined, and what its nodes are."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from ...errors import HardwareMissing, WorkflowError
from ...paths import PACK_ROOT, read_version

_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 120.0
_SHOWN_PACKAGES = {"av": "PyAV", "torch": "torch"}


@dataclass(frozen=True)
class ClusterNode:
    """A machine of a cluster."""

    id: str
    name: str
    cores: int
    gpus: int


@dataclass(frozen=True)
class NodeReport:
    """What a node says of itself."""

    node: ClusterNode
    versions: dict[str, str] = field(default_factory=dict[str, str])
    gpu_names: tuple[str, ...] = ()
    refusal: str = ""
    """Why a worker there would refuse."""

    def __str__(self) -> str:
        node = self.node
        known = [f"{title} {self.versions[name]}" for name, title in _SHOWN_PACKAGES.items() if name in self.versions]
        parts = [f"{node.name}: {node.cores} cores", ", ".join(self.gpu_names) or f"{node.gpus} GPUs", *known]
        return f"{', '.join(parts)}. {self.refusal or 'It can work.'}"


def import_ray() -> Any:
    """Return the package, without its usage reports. Raises ``HardwareMissing`` if it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        return import_module("ray")
    except ImportError as error:
        what = "Ray is not installed."
        raise HardwareMissing(what, 'Install it: pip install "upscale8k[ray]".', feature="ray") from error


@contextmanager
def join_cluster(address: str) -> Generator[Any]:
    """Join the cluster at ``address`` (``local`` starts one here), give the package, and leave it.

    Raises ``HardwareMissing`` without Ray, ``WorkflowError`` if no cluster answers.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    _connect(ray, address)
    try:
        yield ray
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        options["include_dashboard"] = False
    try:
        if ":" in address:  # Ray itself waits for minutes
            host, port = address.rsplit(":", 1)
            socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
        ray.init(address=address, **options)
    except Exception as error:  # Ray raises many kinds, RuntimeError and ConnectionError among them
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise WorkflowError(
            f"No Ray cluster answers at {address}: {reason}.",
            "Start one with `ray start --head`, and check address, network and token.",
            input_name="workers",
        ) from error


def list_nodes(ray: Any) -> list[ClusterNode]:
    """Return the machines that are alive."""
    return [
        ClusterNode(
            node["NodeID"], node["NodeName"], int(node["Resources"].get("CPU", 0)), int(node["Resources"].get("GPU", 0))
        )
        for node in ray.nodes()
        if node["Alive"]
    ]


def start_actor(ray: Any, node: ClusterNode, name: str, cores: int, gpus: int) -> Any:
    """Start an actor on a node, whose ``call`` calls a method of a ``RayNode`` there."""
    strategy = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy(node.id, soft=False)
    placed = ray.remote(_make_actor_class()).options(num_cpus=cores, num_gpus=gpus, scheduling_strategy=strategy)
    return placed.remote(str(PACK_ROOT), name)


def find_refusal(description: dict[str, Any]) -> str:
    """Return why a node with these versions would refuse to work; "" if it would not."""
    if description["version"] != read_version():
        return f"It has Upscale8K {description['version']}, and this machine {read_version()}: install the same version."
    there, here = description["versions"].get("av"), metadata.version("av")
    return "" if there == here else f"It has PyAV {there}, and this machine {here}: install the same, for the same FFmpeg."


def describe_cluster(address: str) -> list[NodeReport]:
    """Join the cluster and ask each node what it is. Raises ``HardwareMissing`` and ``WorkflowError`` as ``join_cluster``."""
    with join_cluster(address) as ray:
        asked = {node: start_actor(ray, node, node.name, 0, 0) for node in list_nodes(ray)}
        answers = {node: actor.call.remote("describe") for node, actor in asked.items()}
        return [_make_report(ray, node, answer) for node, answer in answers.items()]


def _make_report(ray: Any, node: ClusterNode, answer: Any) -> NodeReport:
    try:
        error, description = ray.get(answer, timeout=_ANSWER_SECONDS)
    except ray.exceptions.RayError as reason:
        return NodeReport(node, refusal=f"It does not answer ({type(reason).__name__}).")
    if error:
        return NodeReport(node, refusal=error)
    refusal = find_refusal(description) or ("" if node.cores or node.gpus else "It offers neither cores nor GPUs.")
    return NodeReport(node, description["versions"], tuple(description["gpus"]), refusal)


def _make_actor_class() -> type:
    """Return a class that Ray sends as code, because a node may lack ours."""

    class Launcher:
        def __init__(self, pack_root: str, name: str) -> None:
            self.error = ""
            try:
                if Path(pack_root, "runtime", "bootstrap.py").is_file() and Path(pack_root, "pyproject.toml").is_file():
                    sys.path.insert(0, pack_root)
                    import_module("runtime.bootstrap").load_pack()
                self.node = import_module("upscale8k.runtime.distributed.ray_cluster.ray_node").RayNode(name)
            except ImportError as error:
                self.error = f'It lacks Upscale8K of this version ({error}): pip install "upscale8k[ray]" there.'

        def call(self, method: str, *arguments: Any) -> tuple[str, Any]:
            """Return an error of ours as a sentence, and what the method returned."""
            if self.error:
                return self.error, None
            try:
                return "", getattr(self.node, method)(*arguments)
            except Exception as error:
                return str(error) or type(error).__name__, None

    return Launcher
