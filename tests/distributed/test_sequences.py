"""An image sequence made by several workers has the bytes of one process, also of a run that was stopped."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from upscale8k.runtime.cli import main
from upscale8k.runtime.distributed import shared_sequence, tries, writer
from upscale8k.runtime.distributed.order import Item
from upscale8k.runtime.distributed.ray_cluster import ray_node
from upscale8k.runtime.distributed.shared_sequence import IMAGES_KEY, _ImageCollector
from upscale8k.runtime.distributed.tries import TryName, WorkFolder
from upscale8k.runtime.media import VideoInfo
from upscale8k.runtime.video import SegmentFolder, SequenceJob, WrittenImage
from upscale8k.runtime.video.sequence.write import ImageSequence

from .test_many_files import ThreadPool, read_folder
from .test_orders import ORDER
from .test_ray_cluster import FakeRay, fake, make_node
from .test_same_bytes import write_clip

__all__ = ["fake"]  # a fixture
FRAMES = 40
NEVER = 10**9


def open_threads(order_path: Path, _: object) -> ThreadPool:
    return ThreadPool(order_path, (partial(main, ["work", str(order_path), "--name", name]) for name in ("w1", "w2")))


@pytest.fixture
def run(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run a shipped workflow, as a canvas would save it; images go to ``NAME/frames``. At ``stop_at`` images it is stopped."""

    add_image = SequenceJob.add_image

    def start(
        name: str,
        workflow: str,
        source: str,
        *options: str,
        stop_at: int = NEVER,
        choose_pool: Any = lambda _: (open_threads, 2),
    ) -> int:
        def add_or_stop(job: SequenceJob, image: WrittenImage) -> None:
            add_image(job, image)
            if job.state.count == stop_at:
                raise KeyboardInterrupt

        monkeypatch.setattr(SequenceJob, "add_image", add_or_stop)
        monkeypatch.setattr(writer, "choose_pool", choose_pool)
        content = json.loads((root / "workflows" / f"{workflow}.json").read_text())
        first_values = {"SequenceIn": source, "VideoIn": source, "TiledUpscaleVideo": "96x64", "SequenceOut": "frames/%03d.png"}
        for node in content["nodes"]:
            if node["type"] in first_values:
                node["widgets_values"][0] = first_values[node["type"]]
        (tmp_path / f"{workflow}.json").write_text(json.dumps(content))
        folders = ["--input-dir", str(tmp_path), "--output-dir", str(tmp_path / name), "--device", "cpu", "--backend", "null"]
        return main(["run", str(tmp_path / f"{workflow}.json"), *folders, "--progress", "json", *options])

    return start


def test_images_in_and_out_are_those_of_one_process_with_the_same_text(
    tmp_path: Path, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    random = np.random.default_rng(5)
    for number in range(FRAMES):
        Image.fromarray(random.integers(0, 255, (16, 24, 3), np.uint8)).save(tmp_path / "in" / f"{number:03}.png")
    source = "in/%03d.png"
    assert run("one", "frames_any", source) == 0
    assert run("two", "frames_any", source, "--workers", "2") == 0
    assert '"by w' in capsys.readouterr().err
    images = read_folder(tmp_path / "one" / "frames")
    assert len(images) == FRAMES
    assert all(b"workflow" in content for content in images.values())
    assert read_folder(tmp_path / "two" / "frames") == images


class WorkThread:
    """The process of a node, as a thread of this one."""

    exit_codes: list[int]

    def __init__(self, command: list[str], **_: object) -> None:
        arguments = command[command.index("work") :]
        self.parts = Path(arguments[1]).parent
        arguments[arguments.index("--attached")] = "--name"
        self.thread = threading.Thread(target=lambda: self.exit_codes.append(main(arguments)))
        self.thread.start()

    def poll(self) -> int | None:
        return None

    def kill(self) -> None:
        SegmentFolder(self.parts.with_suffix("")).remove_order()  # by which it ends

    def wait(self) -> None:
        self.thread.join()


def test_images_of_nodes_that_share_nothing_come_back(
    tmp_path: Path, run: Callable[..., int], fake: Callable[..., FakeRay], monkeypatch: pytest.MonkeyPatch
) -> None:
    choose_pool = writer.choose_pool
    write_clip(tmp_path / "clip.mkv", 12, variable=True)
    assert run("one", "video_to_frames", "clip.mkv") == 0
    monkeypatch.setattr(tries, "_POLL_SECONDS", 0.02)
    fake(make_node("a", CPU=2), make_node("b", CPU=2), answers={"sees_order": ("", False)})
    monkeypatch.setattr(WorkThread, "exit_codes", [], raising=False)
    monkeypatch.setattr(ray_node.subprocess, "Popen", WorkThread)
    monkeypatch.setattr(ray_node, "_is_at", lambda *_: False)
    assert run("two", "video_to_frames", "clip.mkv", "--workers", "ray:auto", choose_pool=choose_pool) == 0
    assert read_folder(tmp_path / "two" / "frames") == read_folder(tmp_path / "one" / "frames")
    assert len(list((tmp_path / "cache" / "ray" / "files").iterdir())) == 1
    assert WorkThread.exit_codes == [0, 0]


def test_a_stopped_run_is_resumed_with_or_without_workers(
    tmp_path: Path, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    write_clip(tmp_path / "clip.mkv", FRAMES, variable=False)
    source = "clip.mkv"
    assert run("one", "video_to_frames", source) == 0
    assert run("two", "video_to_frames", source, "--workers", "2", stop_at=9) == 130
    assert run("two", "video_to_frames", source, "--workers", "2", stop_at=25) == 130
    capsys.readouterr()
    assert run("two", "video_to_frames", source) == 0
    assert "Resuming after 25 finished images." in capsys.readouterr().err
    assert read_folder(tmp_path / "two" / "frames") == read_folder(tmp_path / "one" / "frames")


def test_a_source_whose_frames_have_other_times_is_made_by_one_process(
    tmp_path: Path, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clip(tmp_path / "clip.mkv", FRAMES, variable=False)
    source = "clip.mkv"
    assert run("one", "video_to_frames", source) == 0
    list_pts = shared_sequence.list_pts

    def list_one_wrong(info: VideoInfo) -> list[int]:
        return [time + (number == 11) for number, time in enumerate(list_pts(info))]

    monkeypatch.setattr(shared_sequence, "list_pts", list_one_wrong)
    assert run("two", "video_to_frames", source, "--workers", "2") == 0
    assert "is not shared out, because its frames have other times than its packets" in capsys.readouterr().err
    assert read_folder(tmp_path / "two" / "frames") == read_folder(tmp_path / "one" / "frames")


def test_a_second_result_of_other_images_is_said_and_dropped(tmp_path: Path) -> None:
    (tmp_path / "o").mkdir()
    work = WorkFolder(SegmentFolder(tmp_path / "o" / "order"), "1")
    work.create()
    said, recorded = list[str](), list[str]()
    job = SimpleNamespace(
        progress=SimpleNamespace(message=said.append),
        sequence=ImageSequence(tmp_path / "o" / "%02d.png", 0),
        add_image=lambda image: recorded.append(image.path.name),
    )
    order = replace(ORDER, items=(Item(0, 0, 1, None), Item(1, 1, None, (0, 1))))
    collector = _ImageCollector(work, order, job, [Fraction(0), Fraction(1)])  # type: ignore[arg-type]
    for item, number, worker, content in ((1, 1, "a", b"xx"), (1, 2, "b", b"xx"), (1, 3, "c", b"x"), (0, 1, "a", b"y")):
        name = TryName(item, number)
        folder = work.begin_try(name, worker)
        assert folder is not None
        (folder.folder / f"{item}.png").write_bytes(content)
        work.finish_try(name, {IMAGES_KEY: [[f"{item}.png", len(content), str(item), str(item + 1)]]})
        collector.poll()
        assert recorded == ([] if item else ["00.png", "01.png"]), "in the order of the video"
    assert said == ["c made images of other lengths than a, whose are kept, from frame 1 on: the machines compute differently."]
    assert (tmp_path / "o" / "01.png").read_bytes() == b"xx"
    assert collector.is_done
