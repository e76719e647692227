"""Stands where the tests of ComfyUI expect its server: the same messages, from our executor in this process.

Only how the tests reach a server is replaced: ``subprocess``, ``urllib`` and ``time.sleep`` in their modules, and the methods
of their client that open a connection. What they run and what they assert is theirs.
"""

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from email.message import Message
from importlib.util import module_from_spec, spec_from_file_location
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest
from upscale8k import nodes
from upscale8k.runtime.comfyui.custom_nodes.pack_loader import load_node_pack
from upscale8k.runtime.comfyui.custom_nodes.stub_modules import install_stubs
from upscale8k.runtime.graph.check import check_prompt
from upscale8k.runtime.graph.execute.events import NodeCached, NodeEvent, NodeFailed, NodeFinished, NodeStarted
from upscale8k.runtime.graph.execute.executor import execute_plan
from upscale8k.runtime.graph.execute.plan import find_runnable_outputs, make_plan
from upscale8k.runtime.host import LocalHost

from ..comfyui.peer.tree import require_tree
from ..graph.memory_cache import MemoryCache


def tests_of_comfyui() -> Path:
    """Their folder; without it the whole module that asks is skipped, or fails where the run requires it."""
    return require_tree() / "tests" / "execution"


class Server:
    """What ``python main.py ...`` starts: the nodes, and the results of earlier prompts."""

    running: ClassVar["Server"]

    def __init__(self, arguments: list[str]) -> None:
        self.temp = TemporaryDirectory()
        self.host = LocalHost(output_dir=Path(arguments[arguments.index("--output-directory") + 1]), _temp=self.temp)
        self.core = nodes.get_node_classes(self.host)
        pack = tests_of_comfyui() / "testing_nodes" / "testing-pack"
        with install_stubs(self.host, self.core):
            self.catalog = {**self.core, **load_node_pack(pack, self.host, self.core).nodes}
        self.cache = None if "--cache-none" in arguments else MemoryCache()
        self.history: dict[str, dict[str, Any]] = {}
        Server.running = self

    def kill(self) -> None:
        self.temp.cleanup()

    def post(self, prompt: dict[str, Any], targets: list[str] | None) -> tuple[str, list[str]]:
        """Run a prompt to its end. Returns its id and the messages; a refusal is HTTP 400, as from the server."""
        with install_stubs(self.host, self.core):
            return self._run(prompt, targets)

    def _run(self, prompt: dict[str, Any], targets: list[str] | None) -> tuple[str, list[str]]:
        checked = check_prompt(prompt, self.catalog, outputs=targets)
        outputs = find_runnable_outputs(checked.prompt, self.catalog, checked.problems)
        outputs = [output for output in outputs if targets is None or output in targets]
        if not outputs or any(problem.kind == "missing_node_type" for problem in checked.problems):
            reason = "\n".join(map(str, checked.problems))
            raise urllib.error.HTTPError("/prompt", 400, reason, Message(), None)
        prompt_id = f"prompt-{len(self.history)}"
        shown = self.history.setdefault(prompt_id, {})
        planned = make_plan(checked.prompt, self.catalog, outputs)
        events = execute_plan(planned, self.catalog, cache=self.cache, keep_going=True)
        return prompt_id, [json.dumps(message) for message in self._messages(prompt_id, events, shown)]

    def _messages(self, prompt_id: str, events: Iterator[NodeEvent], shown: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for event in events:
            if isinstance(event, NodeFinished | NodeCached) and event.ui:
                shown[event.node_id] = event.ui
            if isinstance(event, NodeStarted):
                yield {"type": "executing", "data": {"node": event.node_id, "prompt_id": prompt_id}}
            elif isinstance(event, NodeCached):
                yield {"type": "execution_cached", "data": {"nodes": [event.node_id], "prompt_id": prompt_id}}
            elif isinstance(event, NodeFailed):
                what = {"node_id": event.node_id, "node_type": event.class_type, "exception_message": str(event.error)}
                yield {"type": "execution_error", "data": {"prompt_id": prompt_id, **what}}
                break
        yield {"type": "executing", "data": {"node": None, "prompt_id": prompt_id}}


def connect(self: Any, listen: str = "", port: int = 0, client_id: str = "") -> None:
    self.messages = []
    self.server_address = "127.0.0.1:0"
    self.ws = SimpleNamespace(recv=lambda: self.messages.pop(0))


def queue_prompt(self: Any, prompt: dict[str, Any], partial_execution_targets: list[str] | None = None) -> dict[str, str]:
    prompt_id, self.messages[:] = Server.running.post(json.loads(json.dumps(prompt)), partial_execution_targets)
    return {"prompt_id": prompt_id}


def get_history(self: Any, prompt_id: str) -> dict[str, Any]:
    return {prompt_id: {"outputs": json.loads(json.dumps(Server.running.history[prompt_id]))}}


def get_image(self: Any, filename: str, subfolder: str, folder_type: Any) -> bytes:
    return (Server.running.host.folder(folder_type) / subfolder / filename).read_bytes()


def get_job(self: Any, job_id: str) -> dict[str, Any] | None:
    """What the server's page about one prompt holds, of what runs have: the outputs that it showed."""
    outputs = Server.running.history.get(job_id)
    return None if outputs is None else {"status": "completed", "outputs": json.loads(json.dumps(outputs))}


def urlopen(request: urllib.request.Request) -> BytesIO:
    """``POST /prompt`` by a test itself, past its client."""
    assert request.full_url.endswith("/prompt"), f"no test here asks a server for {request.full_url}"
    assert isinstance(request.data, bytes)
    prompt_id, _ = Server.running.post(json.loads(request.data)["prompt"], None)
    return BytesIO(json.dumps({"prompt_id": prompt_id}).encode())


def upstream(name: str) -> ModuleType:
    """A test module of ComfyUI, ``test_execution`` or another beside it, that talks to ``Server``."""
    path = tests_of_comfyui() / f"{name}.py"
    spec = spec_from_file_location(f"comfyui_{name}", path)
    assert spec and spec.loader
    module: Any = module_from_spec(spec)
    borrowed = {"websocket": ModuleType("websocket")}
    if name != "test_execution":
        borrowed["tests.execution.test_execution"] = upstream("test_execution")
    with install_stubs(LocalHost()), pytest.MonkeyPatch.context() as patch:
        for borrowed_name, borrowed_module in borrowed.items():
            patch.setitem(sys.modules, borrowed_name, borrowed_module)
        spec.loader.exec_module(module)
    module.subprocess = SimpleNamespace(Popen=Server)
    module.time = SimpleNamespace(time=time.time, sleep=lambda seconds: None)
    reached = SimpleNamespace(Request=urllib.request.Request, urlopen=urlopen)
    module.urllib = SimpleNamespace(error=urllib.error, parse=urllib.parse, request=reached)
    for method in (connect, queue_prompt, get_history, get_image, get_job):
        setattr(module.ComfyClient, method.__name__, method)
    return module
