"""NVIDIA's driver in every state that people's computers are in."""

import subprocess
import sys

import pynvml
import pytest
from upscale8k.runtime.hardware.nvidia import query_nvidia

from .conftest import GB, Card, Plug


def test_a_card_tells_what_it_is(plug: Plug) -> None:
    plug(Card())
    found = query_nvidia()
    assert (found.driver, found.cuda, found.problem) == ("580.65.06", "13.0", None)
    (gpu,) = found.gpus
    assert (gpu.name, gpu.compute_capability, gpu.device) == ("NVIDIA GeForce RTX 4090", (8, 9), "cuda:0")
    assert (gpu.total, gpu.free) == (24 * GB, 20 * GB)
    assert (gpu.encoder, gpu.decoder, gpu.power_limit, gpu.clock, gpu.memory_clock) == (True, True, 450.0, 3105, 3105)
    assert gpu.usable
    assert gpu.is_fast_in_half


def test_without_an_nvidia_driver_there_is_nothing_to_say(plug: Plug) -> None:
    plug(starts=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    assert query_nvidia() == type(query_nvidia())()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "installed but not running. Restart"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "library and kernel module differ. Restart the computer"),
        (pynvml.NVML_ERROR_NO_PERMISSION, "Give the container or the user access to /dev/nvidia"),
        (pynvml.NVML_ERROR_UNKNOWN, "does not respond (Unknown Error)"),
    ],
)
def test_a_broken_driver_is_a_sentence_and_no_failure(code: int, said: str, plug: Plug) -> None:
    plug(Card(), starts=code)
    found = query_nvidia()
    assert found.gpus == ()
    assert said in str(found.problem)


def test_a_library_that_is_none_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash() -> None:
        raise OSError("wrong ELF class: ELFCLASS32")

    monkeypatch.setattr(pynvml, "nvmlInit", crash)
    assert "wrong ELF class" in str(query_nvidia().problem)


def test_without_the_package_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "nvidia-ml-py" in str(query_nvidia().problem)


def test_a_card_that_fell_off_the_bus_does_not_hide_the_other(plug: Plug) -> None:
    plug(Card(lost=True), Card(name="NVIDIA RTX A6000", uuid="GPU-a6000"))
    found = query_nvidia()
    assert [gpu.name for gpu in found.gpus] == ["NVIDIA RTX A6000"]
    assert "does not respond to the driver" in str(found.problem)


def test_what_a_card_does_not_tell_is_left_open(plug: Plug) -> None:
    """DGX Spark has no memory of its own; laptops hide their power limit; old packages answer in bytes."""
    plug(Card(name=b"NVIDIA GB10", total=None, power=None, clock=None, encoder=None, decoder=None, capability=(12, 1)))
    (gpu,) = query_nvidia().gpus
    assert (gpu.name, gpu.total, gpu.free, gpu.power_limit, gpu.clock) == ("NVIDIA GB10", None, None, None, None)
    assert (gpu.encoder, gpu.decoder) == (False, False)


@pytest.mark.parametrize(
    ("name", "has"),
    [("NVIDIA H200", False), ("NVIDIA A100-SXM4-80GB", False), ("NVIDIA H100 NVL", False), ("NVIDIA RTX A3000", True)],
)
def test_chips_without_an_encoder_are_known_by_name(name: str, has: bool, plug: Plug) -> None:
    """NVIDIA's Video Encode and Decode support matrix: A100, H100 and H200 have no NVENC."""
    plug(Card(name=name))
    assert query_nvidia().gpus[0].encoder is has


@pytest.mark.parametrize(
    ("visible", "order", "hidden"),
    [
        ("1", ["GPU-b"], ["GPU-a", "GPU-c"]),
        ("2,0", ["GPU-c", "GPU-a"], ["GPU-b"]),
        ("GPU-b", ["GPU-b"], ["GPU-a", "GPU-c"]),
        ("0,7,1", ["GPU-a"], ["GPU-b", "GPU-c"]),
        ("-1", [], ["GPU-a", "GPU-b", "GPU-c"]),
        ("", [], ["GPU-a", "GPU-b", "GPU-c"]),
        ("0,0", ["GPU-a"], ["GPU-b", "GPU-c"]),
    ],
)
def test_cards_are_counted_as_programs_count_them(
    visible: str, order: list[str], hidden: list[str], plug: Plug, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CUDA C++ Programming Guide, Environment Variables: only devices before an invalid one are visible, in that order."""
    plug(*(Card(uuid=uuid) for uuid in ("GPU-a", "GPU-b", "GPU-c")))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    gpus = query_nvidia().gpus
    assert [gpu.uuid for gpu in gpus if gpu.usable] == order
    assert [gpu.uuid for gpu in gpus if not gpu.usable] == hidden
    assert [gpu.uuid for gpu in gpus][: len(order)] == order


@pytest.mark.parametrize(
    ("capability", "fast"), [((6, 1), False), ((6, 0), True), ((5, 2), False), ((7, 5), True), ((12, 0), True)]
)
def test_half_precision_is_fast_where_nvidia_says_so(capability: tuple[int, int], fast: bool, plug: Plug) -> None:
    """CUDA C++ Programming Guide, throughput of native arithmetic: 6.1 has 2 fp16 operations a clock against 128 in fp32."""
    plug(Card(capability=capability))
    assert query_nvidia().gpus[0].is_fast_in_half is fast


def test_this_machine_answers_as_nvidia_smi_does() -> None:
    """Against NVIDIA's own tool, where there is one."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip().splitlines()
    except (OSError, subprocess.CalledProcessError):
        assert query_nvidia().gpus == ()
        return
    found = sorted(query_nvidia().gpus, key=lambda gpu: gpu.index)
    capability = [".".join(map(str, gpu.compute_capability or ())) for gpu in found]
    assert [line.split(", ")[0] for line in said] == [gpu.name for gpu in found]
    assert [line.split(", ")[2] for line in said] == capability
    for line, gpu in zip(said, found, strict=True):
        assert abs(int(line.split(", ")[1]) - (gpu.total or 0) / 2**20) < 1024
