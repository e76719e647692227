"""Every error of the project.

::

    Upscale8KError                          what: one sentence.   hint: what to do next.
    ├─ WorkflowError(ValueError)            exit 2    path, node_id, input_name
    │    └─ WorkflowRejected                exit 2    problems: every problem of one workflow at once
    ├─ ModelError                           exit 2    model, path
    │    ├─ ModelNotFound(FileNotFoundError)
    │    ├─ ModelDamaged                              the file is not what it claims to be
    │    └─ UnsupportedModel
    ├─ MediaError(OSError)                  exit 2    path: an image or video that cannot be read
    │    └─ OutputError                               path: a result that cannot be written
    ├─ NodeError                            exit 1    any other failure inside a node, the cause chained
    ├─ OutOfMemory(MemoryError)             exit 1    device, tile
    ├─ HardwareMissing(ImportError)         exit 2    feature
    └─ Cancelled                            exit 130

Raised inside a node, each has exit code 1. Each is also a subclass of the built-in that a Python user expects. Errors of other
libraries are translated at one place, chained with ``from``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class Upscale8KError(Exception):
    """Base of all errors. ``what`` happened, in one sentence; ``hint`` is the next step for the user."""

    exit_code = 1
    node: str = ""
    """Label of the node in which it happened; set by the executor."""
    names_node: bool = True
    """Whether the text begins with ``node``: not for who typed a file and not a workflow."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        where = f"{self.node}: " if self.node and self.names_node else ""
        return f"{where}{self.what} {self.hint}".strip()


class WorkflowError(Upscale8KError, ValueError):
    """A workflow file that cannot be read, converted or planned, or an argument that does not fit it."""

    exit_code = 2

    def __init__(
        self, what: str, hint: str = "", *, path: Path | None = None, node_id: str | None = None, input_name: str | None = None
    ) -> None:
        super().__init__(what, hint)
        self.path = path
        self.node_id = node_id
        self.input_name = input_name


def format_node_label(node_id: str, class_type: str | None, title: str | None = None) -> str:
    """Return how every message names a node: ``node 3 (LoadImage "The photo")``."""
    title_suffix = f' "{title}"' if title and title != class_type else ""
    return f"node {node_id} ({class_type or 'unknown'}{title_suffix})"


@dataclass(frozen=True)
class Problem:
    """One problem of a workflow, with everything that is needed to fix it.

    ``kind`` is ComfyUI's error type where it has one (``value_not_in_list``, ``return_type_mismatch``, ...).
    """

    kind: str
    what: str
    hint: str = ""
    node_id: str | None = None
    class_type: str | None = None
    title: str | None = None
    input_name: str | None = None

    def __str__(self) -> str:
        where = ""
        if self.node_id is not None:
            where = format_node_label(self.node_id, self.class_type, self.title)
            where += f", input {self.input_name}: " if self.input_name else ": "
        return f"{where}{self.what} {self.hint}".strip()


class WorkflowRejected(WorkflowError):
    """A workflow with problems; ``problems`` holds all of them."""

    def __init__(self, problems: Sequence[Problem], *, path: Path | None = None) -> None:
        self.problems = tuple(problems)
        count = f"{len(self.problems)} problems" if len(self.problems) != 1 else "1 problem"
        super().__init__(f"{path.name if path else 'The workflow'} has {count}:", path=path)

    def __str__(self) -> str:
        return "\n".join([self.what, *(f"  - {problem}" for problem in self.problems)])


class ModelError(Upscale8KError):
    """Weights that are missing, damaged or unsupported."""

    exit_code = 2

    def __init__(self, what: str, hint: str = "", *, model: str | None = None, path: Path | None = None) -> None:
        super().__init__(what, hint)
        self.model = model
        self.path = path


class ModelNotFound(ModelError, FileNotFoundError):
    """No file for this model; the hint names the ``models pull`` command where the catalog has the model."""


class ModelDamaged(ModelError):
    """The file is truncated or changed, or contains code instead of tensors."""


class UnsupportedModel(ModelError):
    """The file is intact, but contains no single-image super-resolution model; the message names the keys that were found."""


class MediaError(Upscale8KError, OSError):
    """An image or video that cannot be read."""

    exit_code = 2

    def __init__(self, what: str, hint: str = "", *, path: Path | None = None) -> None:
        super().__init__(what, hint)
        self.path = path


class OutputError(MediaError):
    """A result that cannot be written. No file has its final name."""


NODE_BUG_HINT = "This is a bug in the node: report it to its author."


class NodeError(Upscale8KError):
    """Any other failure inside a node. The cause is chained."""


class OutOfMemory(Upscale8KError, MemoryError):
    """Not even the smallest tile fits."""

    def __init__(self, what: str, hint: str = "", *, device: str, tile: int) -> None:
        super().__init__(what, hint)
        self.device = device
        self.tile = tile


class HardwareMissing(Upscale8KError, ImportError):
    """A requested device or library is missing; the hint names what to install."""

    exit_code = 2

    def __init__(self, what: str, hint: str = "", *, feature: str) -> None:
        super().__init__(what, hint)
        self.feature = feature


class Cancelled(Upscale8KError):
    """The user cancelled the run."""

    exit_code = 130


def is_stop(error: BaseException) -> bool:
    """Return whether it is Ctrl-C, or what Python makes of one that comes while it takes a lock: it releases the lock twice."""
    return isinstance(error, KeyboardInterrupt) or (
        isinstance(error, RuntimeError) and isinstance(error.__context__, KeyboardInterrupt)
    )
