"""What the page is told while a node works: numbers for the bar's neighbour, and sentences."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from upscale8k.nodes.comfyui import comfyui_host
from upscale8k.nodes.comfyui.comfyui_host import PROGRESS_MESSAGE, ComfyHost
from upscale8k.runtime.errors import MediaError


class ProgressBar:
    """As much of ComfyUI's as we use."""

    def __init__(self, total: int) -> None:
        self.total, self.current = total, 0

    def update(self, steps: int) -> None:
        self.current += steps


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any], str]]:
    """The messages to the page "tab", with node 7 at work."""
    messages: list[tuple[str, dict[str, Any], str]] = []
    server = SimpleNamespace(client_id="tab", send_sync=lambda *message: messages.append(message))
    parts: dict[str, dict[str, object]] = {
        "comfy": {"model_management": SimpleNamespace(throw_exception_if_processing_interrupted=lambda: None)},
        "comfy.utils": {"ProgressBar": ProgressBar},
        "comfy_execution": {},
        "comfy_execution.utils": {"get_executing_context": lambda: SimpleNamespace(node_id="7")},
        "server": {"PromptServer": SimpleNamespace(instance=server)},
    }
    for name, content in parts.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return messages


def test_the_stop_button_reaches_a_step_that_has_no_bar_of_its_own(
    sent: list[tuple[str, dict[str, Any], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Exception):
        """As ComfyUI's own."""

    def stop() -> None:
        raise Interrupted

    with ComfyHost().progress(1, "frame") as progress:
        progress.check_cancelled()
        monkeypatch.setattr(sys.modules["comfy"].model_management, "throw_exception_if_processing_interrupted", stop)
        sent.clear()
        with pytest.raises(Interrupted):
            progress.check_cancelled()
        assert not sent


def test_the_page_is_told_twice_a_second_and_of_every_sentence_and_of_the_end(
    sent: list[tuple[str, dict[str, Any], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(comfyui_host.time, "monotonic", lambda: now)
    with ComfyHost().progress(50, "frame") as watch:
        watch.update(resumed=10)
        watch.advance(10)
        for _ in range(20):
            now += 0.125
            watch.update(bytes=1000)
            watch.advance()
        watch.message("The film is dark.")
        watch.message("The film is dark.")
    assert {(event, page, told["node"], told["unit"], told["total"]) for event, told, page in sent} == {
        (PROGRESS_MESSAGE, "tab", "7", "frame", 50)
    }
    *running, sentence, end = [told for _, told, _ in sent]
    assert [told["done"] for told in running] == [0, 14, 18, 22, 26, 30]
    assert [told["said"] for told in running] == [[]] * 6
    assert sentence["said"] == end["said"] == ["The film is dark."]
    assert (end["done"], end["resumed"], end["bytes"]) == (30, 10, 1000)
    assert end["seconds"] == pytest.approx(2.5)


def test_a_message_names_the_options_of_comfyui(sent: object, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    folders = ModuleType("folder_paths")
    vars(folders).update(get_directory_by_type=lambda _: str(tmp_path))
    monkeypatch.setitem(sys.modules, "folder_paths", folders)
    with pytest.raises(MediaError, match=r"Copy the file there, or name its folder with --input-directory\.$"):
        ComfyHost().find_input("gone.png")
