"""Compiles a convolution for this processor by LLVM, which llvmlite brings along: no compiler is needed.

The code has the same steps in the same order for every processor, so the bits of a result do not depend on it.
"""

import os
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

from ...errors import HardwareMissing
from ...hardware import query_cpu
from ..onnx_graph import import_library
from .winograd_kernel import CONVOLVE, PREPARE, Blocking, KernelShape, write_kernel, write_preparation

CHANNEL_MULTIPLE = 16
"""Of the channels of a kernel."""


@dataclass(frozen=True)
class _Target:
    """A kind of processor: its name in LLVM, empty for this very one, and what its registers hold, the best first."""

    name: str
    blockings: tuple[Blocking, ...]


_TARGETS = {
    "AVX-512": _Target("x86-64-v4", (Blocking(16, 2, 12), Blocking(16, 3, 8), Blocking(16, 1, 12))),
    "AVX2": _Target("x86-64-v3", (Blocking(8, 2, 6),)),
    "NEON": _Target("", (Blocking(4, 4, 6),)),
}
_LOCK = Lock()
_ENGINES: list[Any] = []
"""They hold the code in memory."""


@dataclass(frozen=True)
class CompiledKernel:
    """A convolution in machine code: addresses of functions that take the addresses of ``Arguments`` and of scratch memory."""

    shape: KernelShape
    prepare: int
    convolve: int


def find_target(sets: tuple[str, ...] | None = None) -> str | None:
    """Return the instruction set that is compiled for on a processor with ``sets``, by default this one; None without one.

    As oneDNN does, it keeps to AVX2 where ``ONEDNN_MAX_CPU_ISA`` says so.
    """
    present = _query_sets() if sets is None else sets
    limit = (os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "ALL").upper()
    is_limited = limit.startswith(("SSE", "AVX")) and not limit.startswith(("AVX512", "AVX10"))
    return next((name for name in _TARGETS if name in present and not (is_limited and name == "AVX-512")), None)


@lru_cache
def _query_sets() -> tuple[str, ...]:
    return query_cpu().sets


def choose_blocking(outputs: int, target: str | None = None) -> Blocking:
    """Return what fits a kernel with that many outputs, a multiple of ``CHANNEL_MULTIPLE``.

    Raises ``HardwareMissing`` on a processor without any of the instruction sets.
    """
    target = target or find_target()
    if target is None:
        raise HardwareMissing(
            "This processor has none of AVX2, AVX-512 and NEON, which the backend winograd needs.",
            "Use the backend auto or torch.",
            feature="winograd",
        )
    return next(one for one in _TARGETS[target].blockings if outputs % one.outputs == 0)


@lru_cache
def compile_kernel(shape: KernelShape) -> CompiledKernel:
    """Return machine code for ``shape``; each takes about 0.06 s, once in a process. Raises what ``compile_code`` raises."""
    convolve = compile_code(write_kernel(shape), CONVOLVE, _find_processor(shape.blocking))
    return CompiledKernel(shape, _compile_preparation(shape.blocking), convolve)


@lru_cache
def _compile_preparation(blocking: Blocking) -> int:
    return compile_code(write_preparation(blocking), PREPARE, _find_processor(blocking))


def _find_processor(blocking: Blocking) -> str:
    return next(target.name for target in _TARGETS.values() if blocking in target.blockings)


def compile_code(code: str, function: str, processor: str = "") -> int:
    """Return the address of ``function`` in LLVM's ``code``, compiled for a kind of processor, by default this one.

    Raises ``HardwareMissing`` without llvmlite.
    """
    llvm = import_library("llvmlite.binding", "pip install llvmlite", "winograd")
    with _LOCK:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        module = llvm.parse_assembly(code)
        module.verify()
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=processor or llvm.get_host_cpu_name(), features="", opt=3
        )
        passes = llvm.create_new_function_pass_manager()
        passes.add_sroa_pass()  # variables become registers; the code is written as it shall run otherwise
        tuning = llvm.create_pipeline_tuning_options(speed_level=2)
        passes.run(module.get_function(function), llvm.create_pass_builder(machine, tuning))
        engine = llvm.create_mcjit_compiler(module, machine)
        engine.finalize_object()
        _ENGINES.append(engine)
        return engine.get_function_address(function)
