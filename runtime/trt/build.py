"""Builds an engine from an ONNX graph, by either TensorRT.

Networks are strongly typed, as TensorRT 11 and TensorRT for RTX require: half precision is in the graph, not a builder flag.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import ModelDamaged, OutOfMemory, UnsupportedModel, Upscale8KError, WorkflowError
from ..models import INPUT
from .engine_info import ShapeProfile
from .target_gpu import TargetGpu, TensorRTPackage

PROGRESS_TOTAL = 1000
"""The sum of all steps that ``advance`` receives during a build."""


@dataclass(frozen=True)
class BuildRequest:
    """What to build. ``workspace`` is the builder's memory in MB; 0 is unlimited."""

    onnx_bytes: bytes
    shape_profile: ShapeProfile
    target: TargetGpu
    workspace: int = 0


def build_engine(request: BuildRequest, package: TensorRTPackage, advance: Callable[[int], object]) -> bytes:
    """Return the bytes of the engine. ``advance`` receives steps of ``PROGRESS_TOTAL``; what it raises stops the build and is
    raised here.

    Raises ``ModelDamaged`` for bytes that are not an ONNX graph, ``UnsupportedModel`` for one that TensorRT cannot build,
    ``WorkflowError`` for too small a workspace, ``OutOfMemory`` when the builder runs out of memory, ``HardwareMissing`` where
    TensorRT does not start.
    """
    trt = package.module
    logger = _make_logger(trt)
    builder = package.create("Builder", logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(request.onnx_bytes):
        raise _make_parse_error(parser)
    config = builder.create_builder_config()
    config.add_optimization_profile(_make_profile(builder, network, request.shape_profile))
    if request.workspace:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, request.workspace << 20)
    _set_target(config, trt, request.target)
    monitor = _make_monitor(trt, advance)
    config.progress_monitor = monitor
    content = builder.build_serialized_network(network, config)
    if monitor.failure is not None:
        raise monitor.failure
    if content is None:
        raise _make_build_error(logger.errors, package, request)
    return bytes(content)


def _make_profile(builder: Any, network: Any, shape_profile: ShapeProfile) -> Any:
    input_tensor = network.get_input(0)
    if input_tensor.name != INPUT and network.num_inputs != 1:
        raise UnsupportedModel(
            f"The ONNX graph takes {network.num_inputs} inputs, not one image.", "Choose a super-resolution model."
        )
    channels = int(input_tensor.shape[1])
    profile = builder.create_optimization_profile()
    profile.set_shape(
        input_tensor.name, *((1, channels, *size) for size in (shape_profile.min, shape_profile.opt, shape_profile.max))
    )
    return profile


def _set_target(config: Any, trt: Any, target: TargetGpu) -> None:
    if target.capabilities:
        config.num_compute_capabilities = len(target.capabilities)
        for index, name in enumerate(target.capabilities):
            config.set_compute_capability(getattr(trt.ComputeCapability, name.replace("_", "").upper()), index)


def _make_logger(trt: Any) -> Any:
    """A logger that collects errors. Its base class is known only at run time."""

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(str(message))

    return Log()


def _make_monitor(trt: Any, advance: Callable[[int], object]) -> Any:
    """Receives the builder's progress. An exception must not reach the builder: it is stored, and the build stops."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.failure: BaseException | None = None
            self._progress = BuildProgress(advance)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._progress.start_phase(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            try:
                self._progress.complete_step(phase_name, step)
            except BaseException as error:  # KeyboardInterrupt too; build_engine raises it
                self.failure = error
            return self.failure is None

        def phase_finish(self, phase_name: str) -> None:
            self._progress.finish_phase(phase_name)

    return Monitor()


class BuildProgress:
    """Turns the builder's nested phases into one number that never decreases."""

    def __init__(self, advance: Callable[[int], object]) -> None:
        self._advance = advance
        self._phases: dict[str, tuple[str | None, int, int]] = {}
        self._reported = 0

    def start_phase(self, name: str, parent: str | None, steps: int) -> None:
        self._phases[name] = (parent, max(steps, 1), 0)

    def complete_step(self, name: str, done: int) -> None:
        """Record that step ``done`` of a phase is complete. Raises what ``advance`` raises."""
        parent, steps, _ = self._phases[name]
        self._phases[name] = (parent, steps, min(done + 1, steps))
        root = next(iter(self._phases))
        self._report(self._compute_fraction(root))

    def finish_phase(self, name: str) -> None:
        self._phases.pop(name, None)

    def _compute_fraction(self, name: str) -> float:
        _, steps, done = self._phases[name]
        child_phases = [child for child, (parent, _, _) in self._phases.items() if parent == name]
        return min(
            (
                done
                + sum(self._compute_fraction(child) for child in child_phases) / max(len(child_phases), 1) * bool(done < steps)
            )
            / steps,
            1.0,
        )

    def _report(self, fraction: float) -> None:
        reached = int(fraction * PROGRESS_TOTAL)
        if reached > self._reported:
            self._advance(reached - self._reported)
            self._reported = reached


def _make_parse_error(parser: Any) -> Upscale8KError:
    reasons = [str(parser.get_error(index).desc()) for index in range(parser.num_errors)]
    reason = reasons[0].splitlines()[0] if reasons else "no reason was given"
    if "parse" in reason.lower() and ("failed" in reason.lower() or "model" in reason.lower()):
        return ModelDamaged(f"This is not an ONNX file, or a damaged one ({reason}).", "Export it again.")
    return UnsupportedModel(f"TensorRT cannot read this ONNX graph: {reason}.", "Run the model with the torch backend.")


def _make_build_error(errors: list[str], package: TensorRTPackage, request: BuildRequest) -> Upscale8KError:
    reason = errors[0].splitlines()[0][:300] if errors else "no reason was given"
    if request.workspace and any("workspace" in error.lower() for error in errors):
        return WorkflowError(
            f"{package.title} cannot build this engine with a workspace of {request.workspace} MB.",
            "Increase the workspace, or use 0 for no limit.",
            input_name="workspace",
        )
    if any("memory" in error.lower() for error in errors):
        return OutOfMemory(
            f"{package.title} ran out of memory while building the engine: {reason}.",
            "Build it for a smaller tile, or with a smaller workspace.",
            device="cuda",
            tile=request.shape_profile.tile,
        )
    return UnsupportedModel(f"{package.title} could not build an engine: {reason}.", "Run the model with the torch backend.")
