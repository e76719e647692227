"""The whole machine: quick, without torch, whatever state it is in."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pynvml
import pytest
import torch
from upscale8k.runtime.errors import HardwareMissing
from upscale8k.runtime.hardware import detect as detect_module
from upscale8k.runtime.hardware.detect import detect_machine, read_torch_build

from .conftest import GB, Card, Plug, gpu, machine


def test_torch_and_its_friends_stay_out(root: Path) -> None:
    script = (
        "import sys; from runtime.bootstrap import load_pack; load_pack();"
        "from upscale8k.runtime.cli import main; code = main(['probe', '--json']);"
        "print([name for name in ('torch', 'numpy', 'av', 'cv2', 'spandrel') if name in sys.modules], code, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False)
    assert done.stderr == "[] 0\n"
    assert json.loads(done.stdout)["settings"]["tile_size"] > 0


def test_it_sees_what_the_system_says(tmp_path: Path) -> None:
    found = detect_machine(folders=(tmp_path / "not" / "yet",))
    assert found.memory.total <= psutil.virtual_memory().total
    assert 0 < found.memory.available <= found.memory.total
    (disk,) = found.disks
    assert disk.total == shutil.disk_usage(tmp_path).total
    assert found.versions["torch"] == torch.__version__.partition("+")[0]
    assert found.versions["python"] == ".".join(map(str, sys.version_info[:3]))


def test_what_torch_was_built_for_is_what_torch_says() -> None:
    expected = (
        f"CUDA {torch.version.cuda}" if torch.version.cuda else f"ROCm {torch.version.hip}" if torch.version.hip else "CPU"
    )
    assert read_torch_build() == expected


def test_a_torch_for_the_processor_is_said(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    plug(Card())
    monkeypatch.setattr(detect_module, "read_torch_build", lambda: "CPU")
    found = detect_machine()
    assert found.find_gpu("auto") is None
    (note,) = found.notes
    assert "built for CPU. Install torch for CUDA" in note


def test_hidden_cards_are_said(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    plug(Card())
    monkeypatch.setattr(detect_module, "read_torch_build", lambda: "CUDA 13.0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = detect_machine()
    assert found.find_gpu("auto") is None
    assert "CUDA_VISIBLE_DEVICES hides every" in found.notes[0]


def test_a_broken_driver_is_among_the_notes(plug: Plug) -> None:
    plug(starts=pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    found = detect_machine()
    assert found.gpus == ()
    assert any("installed but not running" in note for note in found.notes)


@pytest.mark.parametrize(("device", "index"), [("auto", 1), ("cuda", 1), ("cuda:0", 1), ("cuda:1", 0), ("cpu", None)])
def test_devices_are_numbered_as_torch_does(device: str, index: int | None) -> None:
    """With CUDA_VISIBLE_DEVICES=1,0 torch calls the driver's card 1 cuda:0."""
    found = machine(gpu(index=1), gpu(index=0), gpu(index=2, usable=False)).find_gpu(device)
    assert (found.index if found else None) == index


@pytest.mark.parametrize("device", ["cuda:2", "mps", "xpu:0", "cuda:x"])
def test_a_device_that_is_not_here_is_refused(device: str) -> None:
    with pytest.raises(HardwareMissing, match="torch has no such device here"):
        machine(gpu(), gpu(index=1)).find_gpu(device)


def test_everything_can_be_written_as_json(plug: Plug) -> None:
    plug(Card(), Card(name="NVIDIA H200", total=141 * GB))
    kept = json.loads(json.dumps(detect_machine(folders=(Path("output"),)).as_json()))
    assert [card["name"] for card in kept["gpus"]] == ["NVIDIA GeForce RTX 4090", "NVIDIA H200"]
    assert kept["gpus"][0]["compute_capability"] == [8, 9]
