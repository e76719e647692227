"""Orders as files, the choice of workers, and what a worker refuses."""

import json
import os
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from upscale8k.runtime.cli import main
from upscale8k.runtime.distributed.order import Item, Order, read_order
from upscale8k.runtime.distributed.worker import _check_same_settings
from upscale8k.runtime.distributed.worker_choice import WorkerChoice, parse_workers
from upscale8k.runtime.distributed.writer import make_template, read_timeout
from upscale8k.runtime.errors import HardwareMissing, WorkflowError
from upscale8k.runtime.host import LocalHost
from upscale8k.runtime.paths import read_version
from upscale8k.runtime.video import SOURCE_KEY

ORDER = Order("1", read_version(), {}, "5", {"a": [1]}, (Item(0, 0, 20, None), Item(2, 20, None, (38, 40))), "/in", "/out")


def test_an_order_is_read_as_it_was_written(tmp_path: Path) -> None:
    order = replace(ORDER, packs=("/pack",), models_dirs=("/models",), tile_memory=5, max_pixels=9)
    order.write(tmp_path / "order.json")
    assert read_order(tmp_path / "order.json") == order


def test_an_item_knows_the_times_around_its_first_frame() -> None:
    gap = ORDER.items[1].gap
    assert (gap.number, gap.first_frame, gap.frame_count) == (2, 20, None)
    assert gap.before is not None
    assert (gap.before.pts, gap.before.duration) == ((38,), 2)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("nonsense", "cannot be read as an order"),
        ("[]", "is not an order of this version"),
        ('{"format": 99}', "is not an order of this version"),
        ('{"format": 1}', "is damaged"),
        ('{"format": 1, "id": "../x", "items": [], "timeout": 1, "prompt": {}, "settings": {}}', "is damaged"),
        ('{"format": 1, "items": [{"number": -1, "first": 0, "count": 1, "before": null}], "timeout": 1}', "is damaged"),
        (None, "There is no order"),
    ],
)
def test_what_is_no_order_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, reason: str
) -> None:
    path = tmp_path / "order.json"
    if content is not None:
        path.write_text(content)
    assert main(["work", str(path)]) == 2
    message = capsys.readouterr().err
    assert reason in message
    assert "Traceback" not in message


def test_files_that_are_no_jobs_are_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "upscale8k-files.parts"
    folder.mkdir()
    order = replace(ORDER, version=read_version(), items=(), files=({"source": "a.png"},), settings={"run_options": 1})
    order.write(folder / "order.json")
    assert main(["work", str(folder / "order.json")]) == 2
    message = capsys.readouterr().err
    assert "order.json is damaged" in message
    assert "Traceback" not in message


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_a_time_limit_that_is_none_is_a_sentence(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALE8K_WORKER_TIMEOUT", text)
    with pytest.raises(WorkflowError, match=f"UPSCALE8K_WORKER_TIMEOUT is '{text}'"):
        read_timeout()


def test_an_order_of_another_version_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "o.mp4.parts"
    folder.mkdir()
    replace(ORDER, version="0.0.1").write(folder / "order.json")
    assert main(["work", str(folder / "order.json")]) == 2
    assert f"The order is of version 0.0.1 of Upscale8K, and this is {read_version()}." in capsys.readouterr().err


def test_a_source_that_a_worker_does_not_see_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "o.mp4.parts"
    folder.mkdir()
    prompt = {
        "1": {"class_type": "VideoIn", "inputs": {"video": "clip.mp4"}},
        "5": {"class_type": "VideoOut", "inputs": {"video": ["1", 0], "filename_prefix": "o"}},
    }
    replace(ORDER, prompt=prompt, input_dir=str(tmp_path / "elsewhere")).write(folder / "order.json")
    assert main(["work", str(folder / "order.json")]) == 1
    message = capsys.readouterr().err
    assert "clip.mp4" in message
    assert message.startswith("Error: node 1 (VideoIn")
    assert "Traceback" not in message


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({SOURCE_KEY: "clip | bf16", "encoder": "libx265"}, "would make other frames .* clip | bf16 here, clip | fp32"),
        ({SOURCE_KEY: "clip | fp32", "encoder": "libx264"}, "the encoder is libx264 here and libx265 in the order"),
    ],
)
def test_a_machine_that_would_make_another_file_is_refused(settings: dict[str, str], reason: str) -> None:
    order = replace(ORDER, settings={SOURCE_KEY: "clip | fp32", "encoder": "libx265"})
    _check_same_settings(order, dict(order.settings))
    with pytest.raises(WorkflowError, match=reason):
        _check_same_settings(order, settings)


@pytest.mark.parametrize(
    ("text", "choice"), [("", None), ("0", None), ("1", None), (" 3 ", WorkerChoice(3)), ("GPUs", WorkerChoice())]
)
def test_the_choice_of_workers(text: str, choice: WorkerChoice | None) -> None:
    assert parse_workers(text) == choice


@pytest.mark.parametrize("text", ["many", "-1", "1.5", "257", "99999"])
def test_other_workers_are_refused(text: str) -> None:
    with pytest.raises(WorkflowError, match="Unknown workers"):
        parse_workers(text)


def test_gpus_without_a_gpu_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from upscale8k.runtime.distributed import processes
    from upscale8k.runtime.hardware.nvidia import NvidiaDriver

    monkeypatch.setattr(processes, "query_nvidia", NvidiaDriver)
    with pytest.raises(HardwareMissing, match="--workers gpus: This machine has no NVIDIA GPU"):
        processes.list_gpu_slots()


def test_each_gpu_is_seen_by_one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    from upscale8k.runtime.distributed import processes
    from upscale8k.runtime.hardware.gpu import Gpu
    from upscale8k.runtime.hardware.nvidia import NvidiaDriver

    gpus = [Gpu(kind="cuda", index=n, name="X", total=1, free=1, uuid=f"GPU-{n}", usable=n != 1) for n in range(3)]
    monkeypatch.setattr(processes, "query_nvidia", lambda: NvidiaDriver(gpus=tuple(gpus)))
    slots = processes.list_gpu_slots()
    assert [slot.environment for slot in slots] == [{"CUDA_VISIBLE_DEVICES": "GPU-0"}, {"CUDA_VISIBLE_DEVICES": "GPU-2"}]


def test_the_process_of_a_gpu_sees_it_alone_as_the_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from upscale8k.runtime.distributed import processes

    (tmp_path / "order.work").mkdir()
    started: list[tuple[list[str], str]] = []

    def start(command: list[str], *, env: dict[str, str], **_: object) -> Mock:
        started.append((command[-4:], env["CUDA_VISIBLE_DEVICES"]))
        return Mock()

    monkeypatch.setattr(processes.subprocess, "Popen", start)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    slots = [processes.WorkerSlot(f"GPU {n}", (n,), {"CUDA_VISIBLE_DEVICES": f"GPU-{n}"}) for n in range(2)]
    processes.ProcessPool(tmp_path / "order.json", slots, print, are_needed=True)
    assert started == [(["--attached", f"GPU {n}", "--cores", f"{n}"], f"GPU-{n}") for n in range(2)]
    assert make_template(LocalHost(device_name="cuda:1"), {}, "5", 1).device == "cuda"
    assert make_template(LocalHost(device_name="cpu"), {}, "5", 1).device == "cpu"


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system cannot bind a process to cores (macOS, Windows)")
def test_cores_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    from upscale8k.runtime.distributed import processes

    monkeypatch.setattr(processes.os, "sched_getaffinity", lambda _: {0, 1, 2, 3, 4})
    monkeypatch.setattr(processes, "count_usable_cores", lambda: 5)
    assert [slot.cores for slot in processes.list_cpu_slots(2)] == [(0, 2, 4), (1, 3)]
    assert [slot.cores for slot in processes.list_cpu_slots(6)] == [(0,), (1,), (2,), (3,), (4,), (0,)]


def test_an_order_is_json(tmp_path: Path) -> None:
    ORDER.write(tmp_path / "order.json")
    assert json.loads((tmp_path / "order.json").read_text())["items"][1]["before"] == [38, 40]
