"""The builder of both TensorRTs: an ONNX graph becomes an engine.

Networks are strongly typed, which TensorRT 11 and RTX always are: half precision is in the graph, no flag asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import ModelDamaged, OutOfMemory, UnsupportedModel, Upscale8KError, WorkflowError
from ..models.export import INPUT
from .flavour import Flavour
from .shapes import Shapes
from .target import Target

STEPS = 1000
"""What ``advance`` adds up to over a whole build."""


@dataclass(frozen=True)
class Order:
    """What to build. ``workspace`` in MB; 0 leaves the builder all there is."""

    graph: bytes
    shapes: Shapes
    target: Target
    workspace: int = 0


def build(order: Order, flavour: Flavour, advance: Callable[[int], object]) -> bytes:
    """The engine. ``advance`` is told of progress in parts of ``STEPS``; what it raises stops the build and is raised here.

    Raises ``ModelDamaged`` for bytes that are no ONNX graph, ``UnsupportedModel`` for one that TensorRT cannot build,
    ``WorkflowError`` for too small a workspace, ``OutOfMemory`` when the builder says so.
    """
    trt = flavour.module
    log = _log(trt)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(order.graph):
        raise _unparsed(parser)
    config = builder.create_builder_config()
    config.add_optimization_profile(_profile(builder, network, order.shapes))
    if order.workspace:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, order.workspace << 20)
    _aim(config, trt, order.target)
    monitor = _monitor(trt, advance)
    config.progress_monitor = monitor
    content = builder.build_serialized_network(network, config)
    if monitor.failure is not None:
        raise monitor.failure
    if content is None:
        raise _unbuilt(log.errors, flavour, order)
    return bytes(content)


def _profile(builder: Any, network: Any, shapes: Shapes) -> Any:
    given = network.get_input(0)
    if given.name != INPUT and network.num_inputs != 1:
        raise UnsupportedModel(f"The ONNX graph takes {network.num_inputs} inputs, not one picture.")
    channels = int(given.shape[1])
    profile = builder.create_optimization_profile()
    profile.set_shape(given.name, *((1, channels, *size) for size in (shapes.least, shapes.best, shapes.most)))
    return profile


def _aim(config: Any, trt: Any, target: Target) -> None:
    if target.capabilities:
        config.num_compute_capabilities = len(target.capabilities)
        for index, name in enumerate(target.capabilities):
            config.set_compute_capability(getattr(trt.ComputeCapability, name.replace("_", "").upper()), index)


def _log(trt: Any) -> Any:
    """A logger that keeps errors. The classes to inherit from are known at run time only."""

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(str(message))

    return Log()


def _monitor(trt: Any, advance: Callable[[int], object]) -> Any:
    """What the builder tells how far it is. It must not raise into the builder; it says stop instead."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.failure: BaseException | None = None
            self._progress = Progress(advance)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._progress.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            try:
                self._progress.step(phase_name, step)
            except BaseException as error:  # Ctrl-C too: it is raised again when the builder has stopped
                self.failure = error
            return self.failure is None

        def phase_finish(self, phase_name: str) -> None:
            self._progress.finish(phase_name)

    return Monitor()


class Progress:
    """The builder's phases, one inside a step of the other, as one number that only grows."""

    def __init__(self, advance: Callable[[int], object]) -> None:
        self._advance = advance
        self._phases: dict[str, tuple[str | None, int, int]] = {}
        self._shown = 0

    def start(self, name: str, parent: str | None, steps: int) -> None:
        self._phases[name] = (parent, max(steps, 1), 0)

    def step(self, name: str, done: int) -> None:
        """So many steps of a phase are done. Raises what ``advance`` raises."""
        parent, steps, _ = self._phases[name]
        self._phases[name] = (parent, steps, min(done + 1, steps))
        root = next(iter(self._phases))
        self._show(self._share(root))

    def finish(self, name: str) -> None:
        self._phases.pop(name, None)

    def _share(self, name: str) -> float:
        _, steps, done = self._phases[name]
        inside = [child for child, (parent, _, _) in self._phases.items() if parent == name]
        return min((done + sum(self._share(child) for child in inside) / max(len(inside), 1) * bool(done < steps)) / steps, 1.0)

    def _show(self, share: float) -> None:
        reached = int(share * STEPS)
        if reached > self._shown:
            self._advance(reached - self._shown)
            self._shown = reached


def _unparsed(parser: Any) -> Upscale8KError:
    reasons = [str(parser.get_error(index).desc()) for index in range(parser.num_errors)]
    reason = reasons[0].splitlines()[0] if reasons else "no reason was given"
    if "parse" in reason.lower() and ("failed" in reason.lower() or "model" in reason.lower()):
        return ModelDamaged(f"This is no ONNX file, or a damaged one ({reason}).", "Export it again.")
    return UnsupportedModel(f"TensorRT cannot read this ONNX graph: {reason}.", "Run the model with the torch backend.")


def _unbuilt(errors: list[str], flavour: Flavour, order: Order) -> Upscale8KError:
    reason = errors[0].splitlines()[0][:300] if errors else "no reason was given"
    if order.workspace and any("workspace" in error.lower() for error in errors):
        return WorkflowError(
            f"{flavour.title} cannot build this engine with a workspace of {order.workspace} MB.",
            "Give it more, or 0 for all there is.",
            input_name="workspace",
        )
    if any("memory" in error.lower() for error in errors):
        return OutOfMemory(
            f"{flavour.title} ran out of memory while it built the engine: {reason}.",
            "Build it for a smaller tile, or give the builder a smaller workspace.",
            device="cuda",
            tile=order.shapes.tile,
        )
    return UnsupportedModel(f"{flavour.title} could not build an engine: {reason}.", "Run the model with the torch backend.")
