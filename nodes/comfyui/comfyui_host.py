"""ComfyUI as the host. Its modules are imported when they are needed, never at load."""

# ComfyUI's modules exist only inside ComfyUI and carry no types.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from ...runtime.host import LocalHost
from ...runtime.paths import BLUEPRINTS_FOLDER, Folder, list_files
from ...runtime.progress import Progress

PREVIEW_SIDE = 512
PREVIEW_INTERVAL = 1.0
PROGRESS_MESSAGE = "upscale8k.progress"
"""Name of the message with a node's progress; ``web/js/progress_on_node.js`` shows it."""
MESSAGE_INTERVAL = 0.5


def register_blueprints() -> None:
    """Let ComfyUI find our subgraph blueprints: it searches subgraphs/*.json one level below each custom_nodes folder.

    ComfyUI lists these folders before it loads a pack, so it does not search this one for nodes.
    """
    try:
        import folder_paths
    except ModuleNotFoundError:
        return  # the mappings are read outside of ComfyUI
    folder_paths.add_model_folder_path("custom_nodes", str(BLUEPRINTS_FOLDER))


class ComfyHost(LocalHost):
    """ComfyUI's folders, device, progress bar and interrupt; names and counters follow the rules of ``LocalHost``."""

    input_option: ClassVar[str] = "--input-directory"
    output_option: ClassVar[str] = "--output-directory"

    def folder(self, folder: Folder) -> Path:
        import folder_paths

        return Path(folder_paths.get_directory_by_type(folder))

    def input_files(self, suffixes: tuple[str, ...]) -> list[str]:
        return list_files(self.folder("input"), suffixes)

    def model_folders(self) -> tuple[Path, ...]:
        import folder_paths

        return tuple(Path(path) for path in folder_paths.get_folder_paths("upscale_models"))

    def register_model(self, model: Any) -> Any:
        """Add the patcher that ComfyUI's ImageUpscaleWithModel uses to move weights to the GPU."""
        from comfy import model_management, model_patcher

        if getattr(model, "patcher", None) is None:
            patcher = getattr(model_patcher, "CoreModelPatcher", model_patcher.ModelPatcher)  # without DynamicVRAM before 0.9
            model.patcher = patcher(
                model.model,
                load_device=model_management.get_torch_device(),
                offload_device=model_management.unet_offload_device(),
            )
        return model

    def device(self) -> str:
        from comfy import model_management

        return str(model_management.get_torch_device())

    def free_memory(self, device: str, needed_bytes: int) -> None:
        """Let ComfyUI unload models, as its own nodes do by ``load_models_gpu(memory_required=...)``."""
        import torch
        from comfy import model_management

        if device == "cpu":
            return
        model_management.free_memory(needed_bytes + model_management.extra_reserved_memory(), torch.device(device))

    @contextmanager
    def progress(self, total: int, unit: str) -> Generator[Progress]:
        from comfy.utils import ProgressBar
        from comfy_execution.utils import get_executing_context

        context = get_executing_context()
        bar = _ComfyProgress(ProgressBar(max(1, total)), unit, context.node_id if context else "", total)
        bar.advance(0)
        try:
            yield bar
        finally:
            bar.finish()


class _ComfyProgress:
    """ComfyUI's progress bar, and messages to the page with frames, pace, time left and sentences.

    Previews are throttled: making one takes at most a fiftieth of the time until the next.
    """

    def __init__(self, bar: Any, unit: str, node: str, total: int) -> None:
        self._bar = bar
        self._total = total
        self._done = 0
        self._node = node
        self._started = time.monotonic()
        self._next_preview = 0.0
        self._next_message = 0.0
        self._numbers: dict[str, int | str] = {"unit": unit}
        self._messages: list[str] = []

    def check_cancelled(self) -> None:
        from comfy import model_management

        model_management.throw_exception_if_processing_interrupted()

    def advance(self, steps: int = 1) -> None:
        self.check_cancelled()
        self._done += steps
        self._bar.update(steps if self._total else 0)  # without a total the bar stays empty
        if time.monotonic() >= self._next_message:
            self._send()

    def message(self, text: str) -> None:
        import logging

        logging.getLogger("upscale8k").warning("%s", text)
        if text not in self._messages:
            self._messages.append(text)
            self._send()

    def update(self, **numbers: int) -> None:
        self._numbers.update(numbers)

    def finish(self) -> None:
        """Send the last state, which may hold the reason why the work ended."""
        self._send()

    def _send(self) -> None:
        from server import PromptServer

        now, server = time.monotonic(), PromptServer.instance
        self._next_message = now + MESSAGE_INTERVAL
        total = self._total if self._done <= self._total else 0  # a total that was exceeded was an estimate
        counters = {"done": self._done, "total": total, "seconds": now - self._started}
        content = {"node": self._node, **counters, **self._numbers, "said": list(self._messages)}
        server.send_sync(PROGRESS_MESSAGE, content, server.client_id)

    def preview(self, pixels: Any) -> None:
        began = time.monotonic()
        if began < self._next_preview:
            return
        from ...runtime.images import make_preview

        shown: Any = pixels() if callable(pixels) else pixels
        image = make_preview(shown, PREVIEW_SIDE)
        self._bar.update_absolute(self._bar.current, preview=("JPEG", image, PREVIEW_SIDE))
        now = time.monotonic()
        self._next_preview = now + max(PREVIEW_INTERVAL, 50 * (now - began))
