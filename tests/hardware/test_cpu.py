"""Processors, from what kernels write of them."""

import os
import platform
from pathlib import Path

import pytest
from upscale8k.runtime.hardware.capacity import CgroupLimits
from upscale8k.runtime.hardware.cpu import CPUINFO, query_cpu

SAPPHIRE_RAPIDS = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8480+
flags\t\t: fpu sse4_2 fma avx avx2 avx512f avx512bw avx512_vnni avx_vnni avx512_bf16 avx512_fp16 amx_bf16 amx_tile amx_int8

processor\t: 1
model name\t: another
flags\t\t: fpu
"""
ZEN_3 = "processor\t: 0\nmodel name\t: AMD Ryzen 9 5950X 16-Core Processor\nflags\t\t: fpu avx avx2 fma\n"
GRACE = "processor\t: 0\nBogoMIPS\t: 2000.00\nFeatures\t: fp asimd asimddp sve sve2 bf16 i8mm\nCPU implementer\t: 0x41\n"


@pytest.mark.parametrize(
    ("text", "model", "sets"),
    [
        (
            SAPPHIRE_RAPIDS,
            "Intel(R) Xeon(R) Platinum 8480+",
            ("AVX2", "AVX-512", "VNNI", "AVX-512 BF16", "AVX-512 FP16", "AMX"),
        ),
        (ZEN_3, "AMD Ryzen 9 5950X 16-Core Processor", ("AVX2",)),
        (GRACE, platform.machine(), ("NEON", "SVE", "Arm BF16", "I8MM")),
        ("", platform.machine(), ()),
    ],
)
def test_the_processor_is_named(text: str, model: str, sets: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    found = query_cpu(CgroupLimits(), file)
    assert (found.model, found.sets) == (model, sets)


def test_this_machine_answers_as_torch_does() -> None:
    """Against torch's own question to the processor."""
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    found = query_cpu(CgroupLimits())
    if CPUINFO.is_file() and capability.startswith("AVX"):
        assert ("AVX2" in found.sets) == (capability in ("AVX2", "AVX512"))
        assert capability != "AVX512" or "AVX-512" in found.sets
    assert 1 <= found.cores <= found.machine_cores == os.cpu_count()
