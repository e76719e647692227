"""Convolutions that follow each other, run by all threads without Python between them.

Python's threads take turns: with 350 convolutions in a network and dozens of threads, handing out each one would take longer
than computing it. So each thread runs the whole list, and all wait for each other where one step reads what another wrote.
"""

import sys
from ctypes import CDLL, CFUNCTYPE, Array, addressof, c_int64, c_void_p, cast
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import zip_longest
from math import ceil
from threading import Lock, local
from typing import Any

import torch
from torch import Tensor

from ..torch_optim.patches import SingleThreadWorkers
from .compile_kernel import CompiledKernel, compile_code
from .feature_memory import FeatureMemory
from .winograd_kernel import Arguments

_RUN = "run"
_SPINS = 4096
"""Looks at the other threads, some 10 us, before the processor is offered to others."""
_STOPPED = 1 << 60
"""More arrivals than there can be: every thread goes on, and ends with its step."""
_CODE = f"""
define void @{_RUN}(ptr %steps, i64 %count, i64 %threads, ptr %arrived, ptr %yield, ptr %scratch) nounwind {{
entry:
  br label %next
next:
  %index = phi i64 [ 0, %entry ], [ %following, %done ]
  %expected = phi i64 [ %threads, %entry ], [ %then_expected, %done ]
  %stopped = load atomic i64, ptr %arrived monotonic, align 8
  %is_running = icmp slt i64 %stopped, {_STOPPED}
  %is_left = icmp slt i64 %index, %count
  %is_step = and i1 %is_left, %is_running
  br i1 %is_step, label %step, label %end
step:
  %place = getelementptr {{ ptr, ptr }}, ptr %steps, i64 %index
  %function = load ptr, ptr %place
  %second = getelementptr {{ ptr, ptr }}, ptr %steps, i64 %index, i32 1
  %arguments = load ptr, ptr %second
  %is_call = icmp ne ptr %function, null
  br i1 %is_call, label %call, label %arrive
call:
  call void %function(ptr %arguments, ptr %scratch)
  br label %done
arrive:
  %before = atomicrmw add ptr %arrived, i64 1 seq_cst
  br label %wait
wait:
  %spins = phi i64 [ 0, %arrive ], [ %more_spins, %spin ], [ 0, %pause ]
  %present = load atomic i64, ptr %arrived acquire, align 8
  %all_present = icmp sge i64 %present, %expected
  br i1 %all_present, label %passed, label %spin
spin:
  %more_spins = add i64 %spins, 1
  %is_long = icmp sgt i64 %more_spins, {_SPINS}
  br i1 %is_long, label %pause, label %wait
pause:
  %ignored = call i32 %yield()
  br label %wait
passed:
  %raised = add i64 %expected, %threads
  br label %done
done:
  %then_expected = phi i64 [ %expected, %call ], [ %raised, %passed ]
  %following = add i64 %index, 1
  br label %next
end:
  ret void
}}
"""
_scratch = local()


class NetworkResources:
    """The threads of one network, which run one program at a time, and the memory of its features."""

    def __init__(self) -> None:
        self.workers = SingleThreadWorkers()
        self.lock = Lock()
        self.memory = FeatureMemory()
        self.run = _compile_runner()


@dataclass
class Program:
    """Convolutions in the order in which they run; what they read and write must exist until then."""

    resources: NetworkResources
    _steps: list[tuple[CompiledKernel, Arguments]] = field(default_factory=list)
    _tensors: list[Tensor] = field(default_factory=list)

    def append(self, kernel: CompiledKernel, tensors: list[Tensor], **arguments: int) -> None:
        """Add a convolution to the end; ``tensors`` are kept until the program has run."""
        arguments |= {"inputs": kernel.shape.inputs, "outputs": kernel.shape.outputs}
        self._steps.append((kernel, Arguments(**arguments)))
        self._tensors += tensors

    def run(self) -> None:
        """Run all convolutions, if there are any; nothing is left of them afterwards.

        A thread that fails or was never started, because the user stopped the run, lets no other one wait for it.
        """
        if not self._steps:
            return
        words, arrived = self._link(), c_int64(0)
        scratch_size = max(kernel.shape.scratch for kernel, _ in self._steps)
        run, size = self.resources.run, self.resources.workers.size

        def run_words(_: int) -> None:
            try:
                scratch = _get_scratch(scratch_size)
                run(addressof(words), len(words) // 2, size, addressof(arrived), _find_yield(), scratch)
            except BaseException:
                self._stop(arrived)
                raise

        with self.resources.lock:
            try:
                self.resources.workers.run_each(run_words, range(size))
            except BaseException:
                self._stop(arrived)
                raise
        self._steps.clear()
        self._tensors.clear()

    def _stop(self, arrived: c_int64) -> None:
        """Let the threads end. What they use exists until then, because each holds this program."""
        arrived.value = _STOPPED

    def _link(self) -> Array[c_int64]:
        """Return addresses of functions and arguments in pairs; where both are zero, threads wait for each other.

        Kernels are transformed while the convolution before is computed, in turn in one of two memories.
        """
        largest = max(kernel.shape.kernels for kernel, _ in self._steps)
        kernels, counters = torch.empty(2, largest), torch.zeros(len(self._steps), 2, dtype=torch.int64)
        self._tensors += [kernels, counters]
        preparations, convolutions = list[tuple[int, int]](), list[tuple[int, int]]()
        for index, (kernel, arguments) in enumerate(self._steps):
            arguments.kernels = kernels[index % 2].data_ptr()
            arguments.prepared, arguments.begun = (counter.data_ptr() for counter in counters[index])
            preparations.append((kernel.prepare, addressof(arguments)))
            convolutions.append((kernel.convolve, addressof(arguments)))
        words = [*preparations[0], 0, 0]
        for convolution, preparation in zip_longest(convolutions, preparations[1:], fillvalue=()):
            words += [*convolution, *preparation, 0, 0]
        return (c_int64 * len(words))(*words)


@lru_cache
def _compile_runner() -> Any:
    kind = CFUNCTYPE(None, c_void_p, c_int64, c_int64, c_void_p, c_void_p, c_void_p)
    return kind(compile_code(_CODE, _RUN))


@lru_cache
def _find_yield() -> int:
    """Return the address of the system's function that lets other threads run."""
    library: Any = CDLL("kernel32") if sys.platform == "win32" else CDLL(None)
    return cast(library.SwitchToThread if sys.platform == "win32" else library.sched_yield, c_void_p).value or 0


def _get_scratch(size: int) -> int:
    """Return the address of memory of this thread, ``size`` floats from the beginning of a line of the cache on."""
    line = 64
    memory: Tensor | None = getattr(_scratch, "memory", None)
    if memory is None or memory.numel() < size + line:
        memory = _scratch.memory = torch.empty(size + line)
    return ceil(memory.data_ptr() / line) * line
