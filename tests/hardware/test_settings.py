"""What is suggested: it obeys free memory, keeps the original's four keys, and says why."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upscale8k.runtime.hardware.calibration import Measurement, make_subject
from upscale8k.runtime.hardware.cpu import Cpu
from upscale8k.runtime.hardware.gpu import Gpu
from upscale8k.runtime.hardware.report import format_report
from upscale8k.runtime.hardware.settings import recommend_settings
from upscale8k.runtime.hardware.tile_memory import (
    HEAVIEST_NETWORK,
    TILE_SIDES,
    NetworkProfile,
    default_footprint,
    memory_budget,
)

from .conftest import GB, gpu, machine

FAST = NetworkProfile("SRVGG", "Compact", 4, 18, half_safe=True)


def test_the_original_keys_are_there_with_their_types() -> None:
    """{"batch_size": 2, "tile_size": 512, "fp16": true, "trtexec_workspace": 4096} is what the first version printed."""
    told = json.loads(str(recommend_settings(machine(gpu()))))
    kinds = {"batch_size": int, "tile_size": int, "fp16": bool, "trtexec_workspace": int}
    assert {key: type(told[key]) for key in kinds} == kinds
    assert told["fp16"] is True
    assert told["trtexec_workspace"] == 4096
    assert list(told)[:4] == list(kinds)


@pytest.mark.parametrize("place", [machine(), machine(gpu()), machine(gpu(free=0)), machine(gpu(encoder=False))])
def test_every_setting_has_its_reason(place: Any) -> None:
    told = recommend_settings(place).as_json()
    reasons = told.pop("reasons")
    assert set(reasons) == set(told)
    for reason in reasons.values():
        assert reason.endswith(".")
        assert len(reason) > 20


@given(
    free=st.integers(0, 200 * GB),
    network=st.sampled_from([HEAVIEST_NETWORK, FAST, NetworkProfile("SwinIR-L", "SwinIR", 4, 64, half_safe=False)]),
    card=st.booleans(),
)
def test_what_is_suggested_fits_in_what_is_free(free: int, network: NetworkProfile, card: bool) -> None:
    """Or it is the smallest tile there is, and the reason says what to do."""
    place = machine(gpu(free=free)) if card else machine(available=free)
    told = recommend_settings(place, network)
    known = default_footprint(network.architecture, network.scale, backend=told.backend, half=told.fp16, on_gpu=card)
    rate = known.bytes_per_pixel
    taken = told.batch_size * rate * (told.tile_size + 2 * network.halo) ** 2
    total = place.gpus[0].total if card else place.memory.total
    if taken > memory_budget(free, total, on_gpu=card):
        assert (told.tile_size, told.batch_size) == (TILE_SIDES[0], 1)
        assert "close other programs" in told.reasons["tile_size"]
    assert told.trtexec_workspace << 20 <= max(free, 0)


def test_free_memory_counts_and_not_total() -> None:
    roomy, crowded = (recommend_settings(machine(gpu(free=free, total=24 * GB))) for free in (20 * GB, 3 * GB))
    assert crowded.tile_size < roomy.tile_size
    assert crowded.trtexec_workspace < roomy.trtexec_workspace == 4096


def test_a_full_card_gets_the_smallest_tile_and_a_way_out() -> None:
    told = recommend_settings(machine(gpu(free=0)))
    assert (told.tile_size, told.batch_size, told.trtexec_workspace) == (TILE_SIDES[0], 1, 0)
    assert "use the device cpu" in told.reasons["tile_size"]


def test_a_card_that_shares_the_computers_memory_gets_a_part_of_that() -> None:
    told = recommend_settings(machine(gpu(free=None, name="NVIDIA GB10"), available=2 * GB))
    assert told.tile_size < recommend_settings(machine(gpu(free=None), available=64 * GB)).tile_size
    assert told.fp16


@pytest.mark.parametrize(
    ("card", "network", "expected"),
    [
        (gpu(compute_capability=(6, 1)), None, False),
        (gpu(compute_capability=None), None, False),
        (gpu(), None, True),
        (gpu(), NetworkProfile("SwinIR-L", "SwinIR", 4, 64, half_safe=False), False),
        (Gpu(kind="mps", index=0, name="Apple GPU", total=16 * GB, free=8 * GB), None, False),
        (Gpu(kind="rocm", index=0, name="AMD", total=16 * GB, free=8 * GB), None, True),
    ],
)
def test_half_precision_where_card_and_model_are_made_for_it(card: Gpu, network: NetworkProfile | None, expected: bool) -> None:
    told = recommend_settings(machine(card, build=None), network)
    assert told.fp16 is expected
    assert told.precision == ("auto" if expected else "fp32")


def test_no_card_means_the_processor() -> None:
    told = recommend_settings(machine())
    assert (told.device, told.fp16, told.batch_size, told.encoder, told.trtexec_workspace) == ("cpu", False, 1, "none", 0)


@pytest.mark.parametrize("sets", [("AVX2",), ("AVX2", "AVX-512 BF16")])
def test_on_a_processor_each_model_is_tried_in_bf16_where_that_has_instructions(sets: tuple[str, ...]) -> None:
    place = replace(machine(), cpu=Cpu("Some CPU", 8, 8, None, sets))
    times = {"torch": 1.0, "openvino": 0.5}
    measured = {
        make_subject(place, "cpu", "ESRGAN", 4, name, "fp32"): Measurement(10_000, 0, seconds, 1e-6)
        for name, seconds in times.items()
    }
    told = recommend_settings(place, HEAVIEST_NETWORK, device="cpu", calibration=measured)
    assert (told.fp16, told.precision) == (False, "auto")
    assert ("bf16" in told.reasons["fp16"]) == (told.backend == "auto") == (len(sets) == 2)


def test_the_card_that_was_asked_for_counts() -> None:
    cards = (gpu(free=1 * GB), gpu(index=1, free=20 * GB, name="NVIDIA H200", encoder=False))
    told = recommend_settings(machine(*cards), device="cuda:1")
    assert told.device == "cuda:1"
    assert told.encoder == "none"
    assert told.tile_size > recommend_settings(machine(*cards)).tile_size
    assert recommend_settings(machine(*cards), device="cpu").device == "cpu"


def test_a_measurement_goes_before_the_table() -> None:
    place = machine(gpu(free=20 * GB))
    heavy = Measurement(bytes_per_pixel=40_000, base=1e9, seconds_per_megapixel=1)
    measured = {make_subject(place, "auto", "ESRGAN", 4, "torch", "fp16"): heavy}
    told = recommend_settings(place, calibration=measured)
    assert told.tile_size < recommend_settings(place).tile_size
    assert "measured on this machine" in told.reasons["tile_size"]
    assert told.backend == "auto", "one backend was not compared with anything"
    elsewhere = machine(gpu(free=20 * GB, name="NVIDIA H200"))
    assert recommend_settings(elsewhere, calibration=measured) == recommend_settings(elsewhere)


@pytest.mark.parametrize(("openvino", "chosen"), [(0.5, "openvino"), (0.99, "torch"), (2.0, "torch")])
def test_the_faster_backend_by_measurement(openvino: float, chosen: str) -> None:
    place = machine()
    measured = {
        make_subject(place, "cpu", "ESRGAN", 4, name, "fp32"): Measurement(10_000, 0, seconds, 1e-6)
        for name, seconds in (("torch", 1.0), ("openvino", openvino))
    }
    told = recommend_settings(place, HEAVIEST_NETWORK, device="cpu", calibration=measured)
    assert told.backend == chosen
    assert "torch 1.0 s" in told.reasons["backend"]
    assert recommend_settings(place, device="cpu", calibration=measured).backend == "auto", "it may be used with another model"


def test_the_table_shows_it_all() -> None:
    place = machine(gpu(power_limit=450.0, clock=3105), driver="580.65.06", cuda="13.0", notes=("Something is off.",))
    shown = format_report(place, recommend_settings(place))
    for fact in ("RTX 4090", "20.0 GB free of 24.0 GB", "compute capability 8.9", "580.65.06 (CUDA 13.0)", "450 W", "3105 MHz"):
        assert fact in shown
    assert "Something is off." in shown
    assert "tile_size" in shown
    assert max(len(line) for line in shown.splitlines()) <= 100
