"""Format a machine and its recommended settings as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .calibration import Calibration
    from .detect import Machine
    from .gpu import Gpu
    from .settings import UpscaleSettings

ReportRow = tuple[str, str]
_LABEL = 18
_WIDTH = 100


def format_bytes(count: float) -> str:
    """Return ``1.5 GB`` (10^9 bytes), or megabytes below that."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def format_machine_rows(machine: Machine) -> list[ReportRow]:
    """Return label and value of each line."""
    return [
        *_iterate_computer_rows(machine),
        *(row for gpu in machine.gpus for row in _iterate_gpu_rows(gpu, machine)),
        *_iterate_other_rows(machine),
    ]


def format_settings_rows(settings: UpscaleSettings) -> list[tuple[str, str, str]]:
    """Return name, value and reason of each setting."""
    values: Mapping[str, Any] = settings.as_json()
    return [(name, _format_value(name, values[name]), settings.reasons[name]) for name in values if name in settings.reasons]


def format_report(
    machine: Machine,
    settings: UpscaleSettings,
    calibration: Calibration | None = None,
    workers: Sequence[str] = (),
) -> str:
    """Return machine, settings, measurements and a sentence on each of ``workers`` as lines of at most 100 columns."""
    lines = [line for label, value in format_machine_rows(machine) for line in _wrap_line(label, value)]
    lines += ["", "Recommended settings"]
    for name, value, reason in format_settings_rows(settings):
        lines += _wrap_line(name, f"{value:<9} {reason}", indent=10)
    if calibration:
        lines += ["", "Measured by probe --calibrate, in seconds per million input pixels; probe --forget deletes it"]
    for subject, entry in (calibration or {}).items():
        what = f"{subject.architecture} x{subject.scale} by {subject.software} in {subject.precision} on {subject.device}"
        lines += _wrap_line(entry.date or "no date", f"{entry.seconds_per_megapixel:<9.2f} {what}", indent=10)
    lines += ["", "Workers"] if workers else []
    for sentence in workers:
        lines += _wrap_line("", sentence)
    return "\n".join(lines)


def _wrap_line(label: str, value: str, indent: int = 0) -> Iterator[str]:
    first, *more = wrap(value, _WIDTH - _LABEL, subsequent_indent=" " * indent, break_on_hyphens=False) or [""]
    yield f"{label:<{_LABEL}}{first}".rstrip()
    for rest in more:
        yield " " * _LABEL + rest


def _format_value(name: str, value: object) -> str:
    if name == "queue_bytes" and isinstance(value, int):
        return format_bytes(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _iterate_computer_rows(machine: Machine) -> Iterator[ReportRow]:
    cpu, memory = machine.cpu, machine.memory
    cores = f"{cpu.cores} cores"
    if cpu.cores < cpu.machine_cores:
        cores += f" of {cpu.machine_cores} may be used" + (f" (quota {cpu.quota:g})" if cpu.quota is not None else "")
    yield "System", machine.system
    yield "Processor", f"{cpu.model}, {cores}"
    if cpu.sets:
        yield "Instructions", ", ".join(cpu.sets)
    limited = " (limit of the container)" if memory.limited else ""
    yield "Memory", f"{format_bytes(memory.available)} free of {format_bytes(memory.total)}{limited}"
    if not machine.gpus:
        yield "GPU", "none found"


def _iterate_gpu_rows(gpu: Gpu, machine: Machine) -> Iterator[ReportRow]:
    hidden = "" if gpu.usable else " (hidden by CUDA_VISIBLE_DEVICES)"
    yield f"GPU {gpu.index}", f"{gpu.name}{hidden}"
    if gpu.total is None or gpu.free is None:
        yield "  memory", "shares the computer's" if gpu.total is None else format_bytes(gpu.total)
    else:
        yield "  memory", f"{format_bytes(gpu.free)} free of {format_bytes(gpu.total)}"
    facts = _list_chip_facts(gpu, machine)
    if facts:
        yield "  chip", ", ".join(facts)
    if gpu.encoder is not None:
        yield "  video", f"NVENC {'yes' if gpu.encoder else 'no'}, NVDEC {'yes' if gpu.decoder else 'no'}"


def _list_chip_facts(gpu: Gpu, machine: Machine) -> list[str]:
    facts: list[str] = []
    if gpu.compute_capability:
        facts.append("compute capability {}.{}".format(*gpu.compute_capability))
    if gpu.kind == "cuda" and machine.driver:
        facts.append(f"driver {machine.driver}" + (f" (CUDA {machine.cuda})" if machine.cuda else ""))
    if gpu.power_limit:
        facts.append(f"{gpu.power_limit:.0f} W")
    if gpu.clock:
        facts.append(f"{gpu.clock} MHz")
    if gpu.memory_clock:
        facts.append(f"memory {gpu.memory_clock} MHz")
    return facts


def _iterate_other_rows(machine: Machine) -> Iterator[ReportRow]:
    for disk in machine.disks:
        yield "Disk", f"{format_bytes(disk.free)} free of {format_bytes(disk.total)} at {disk.folder}"
    build = f" ({machine.torch_build})" if machine.torch_build else ""
    shown = [f"{name} {version}{build if name == 'torch' else ''}" for name, version in machine.versions.items()]
    yield "Software", ", ".join(shown)
    for note in machine.notes:
        yield "Note", note
