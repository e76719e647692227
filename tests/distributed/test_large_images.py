"""One image made in bands by several workers: the pixels of one process, also after a stop."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from upscale8k.runtime.distributed import image_bands, large_images, read_order
from upscale8k.runtime.distributed.large_images import discard_finished_images, upscale_images
from upscale8k.runtime.distributed.worker import WorkerHost
from upscale8k.runtime.errors import Cancelled, OutputError, WorkflowError
from upscale8k.runtime.host import LocalHost
from upscale8k.runtime.models import find_model, load_model
from upscale8k.runtime.upscale import TiledUpscaleSettings, fix_tile_memory, upscale_batch

from .test_same_bytes import Run, runs

__all__ = ["runs"]  # a fixture
PROMPT: dict[str, Any] = {
    "4": {"class_type": "TiledUpscale", "inputs": {"image": ["2", 0]}},
    "5": {"class_type": "SomeFilter", "inputs": {"image": ["4", 0]}},
    "6": {"class_type": "ImageOut", "inputs": {"images": ["5", 0], "workers": "2"}},
}
SETTINGS = TiledUpscaleSettings("2.5x", "cpu", tile=32, backend="null", strength=0.5)
IMAGE = torch.from_numpy(np.random.default_rng(5).random((1, 200, 60, 3), np.float32))


@pytest.fixture
def share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Upscale an image with a worker that is a thread, and ends the run after so many bands."""
    monkeypatch.setattr(large_images, "MIN_SHARED_PIXELS", 1)
    model = load_model(find_model("realesr-animevideov3", ()))
    made: list[int] = []

    def run(image: torch.Tensor = IMAGE, prompt: Any = PROMPT, most: int = 99, settings: Any = SETTINGS) -> torch.Tensor:
        class Pool:
            def __init__(self, order_path: Path, _: object) -> None:
                host = WorkerHost.open(read_order(order_path), order_path, "w", tmp_path, (tmp_path,))
                self.left = len(host.order.bands)
                make = image_bands._make_bands
                self.thread = Thread(target=lambda: make(host, image, model, settings))
                self.path = order_path

            def __enter__(self) -> "Pool":
                self.thread.start()
                return self

            def __exit__(self, *_: object) -> None:
                made.append(len(list(self.path.parent.glob("0*.npz"))))

            def find_lost(self) -> list[str]:
                if len(list(self.path.parent.glob("0*.npz"))) >= most:
                    raise Cancelled("Stopped.")
                return []

        monkeypatch.setattr(image_bands, "choose_pool", lambda _: (Pool, 2))
        host = LocalHost(input_dir=tmp_path, output_dir=tmp_path)
        return upscale_images(host, prompt, image, model, settings)

    run.made, run.model = made, model  # type: ignore[attr-defined]
    yield run
    fix_tile_memory(None)


def count_parts(folder: Path) -> int:
    return len(list(folder.glob("Upscale8K-*.parts")))


def expect(run: Any) -> torch.Tensor:
    return upscale_batch(IMAGE, run.model, SETTINGS, LocalHost().progress)


def test_a_stopped_image_goes_on_and_is_that_of_one_process(
    tmp_path: Path, share: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("upscale8k.runtime.distributed.collector._POLL_SECONDS", 0.0)
    with pytest.raises(Cancelled):
        share(most=2)
    (folder,) = tmp_path.glob("Upscale8K-*.parts")
    assert {path.name for path in folder.iterdir()} >= {"image.npy", "image.json"}
    first = {path: path.stat().st_mtime_ns for path in folder.glob("0*.npz")}
    result = share()
    assert torch.equal(result, expect(share))
    assert {path: path.stat().st_mtime_ns for path in first} == first
    assert share.made[0] >= 2
    discard_finished_images()
    assert count_parts(tmp_path) == 0
    assert float(result[0, 0, 0, 0]) == float(expect(share)[0, 0, 0, 0])  # it can still be read


def test_what_cannot_be_cut_is_made_by_one_process(tmp_path: Path, share: Any) -> None:
    alpha = torch.cat([IMAGE, IMAGE[..., :1]], 3)
    assert share(alpha).shape == (1, 500, 150, 4)
    assert share(torch.cat([IMAGE, IMAGE])).shape == (2, 500, 150, 3)
    assert share(IMAGE[:, :20, :20]).shape == (1, 50, 50, 3)
    assert torch.equal(share(prompt={"4": PROMPT["4"]}), expect(share))  # nobody would remove the file
    assert torch.equal(share(prompt={**PROMPT, "9": PROMPT["4"]}), expect(share))  # which of the two this is, it cannot know
    assert share.made == []
    assert count_parts(tmp_path) == 0


def test_a_worker_with_another_image_does_nothing(tmp_path: Path, share: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    monkeypatch.setattr(image_bands._SharedImage, "make_missing", lambda _, template, key, *__: kept.append((template, key)))
    with pytest.raises(OutputError):
        share()
    template, key = kept[0]
    host = object.__new__(WorkerHost)
    host.order = image_bands.replace(template, settings={"key": key}, bands=((0, 0, 200),))
    host.has_worked = False
    assert image_bands._make_bands(host, IMAGE + 0.001, share.model, SETTINGS).shape == (1, 1, 1, 3)
    assert not host.has_worked


def test_unknown_workers_are_refused(share: Any) -> None:
    prompt = {**PROMPT, "6": {"class_type": "ImageOut", "inputs": {"images": ["5", 0], "workers": "many"}}}
    with pytest.raises(WorkflowError, match="Unknown workers 'many'"):
        share(prompt=prompt)


@pytest.mark.full
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_image_whose_worker_and_driver_are_killed_is_resumed(tmp_path: Path, runs: Callable[..., Run]) -> None:
    source = tmp_path / "in.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (1600, 800, 3), np.uint8)).save(source)
    options = ("--to", "1.7x", "--tile", "64")
    runs(source, "one", "png", "0", *options).finish()
    parts = next(iter((tmp_path / "two").glob("*.parts")), tmp_path / "two" / "none")
    run = runs(source, "two", "png", "2", *options)
    run.wait_for(lambda: list((tmp_path / "two").glob("*.parts/order.work/*/*.parts/beat.json")))
    run.parts = next(iter((tmp_path / "two").glob("*.parts")))
    run.catch_worker().kill()
    run.wait_for(lambda: list(run.parts.glob("0*.npz")))
    run.process.send_signal(signal.SIGKILL)
    run.process.wait()
    parts = run.parts
    before = {path: path.stat().st_mtime_ns for path in parts.glob("0*.npz")}
    assert before
    again = runs(source, "two", "png", "2", *options)
    again.finish()
    results = [(tmp_path / name / "o.png").read_bytes() for name in ("one", "two")]
    assert results[0] == results[1]
    assert not parts.exists()
