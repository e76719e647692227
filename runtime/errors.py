"""Everything that can go wrong, on one screen.

::

    Upscale8KError                          what: one sentence.   hint: what to do next.
    ├─ WorkflowError(ValueError)            exit 2    path, node_id, input_name
    │    └─ WorkflowRejected                exit 2    problems: every problem of one workflow at once
    ├─ ModelError                           exit 2    model, path
    │    ├─ ModelNotFound(FileNotFoundError)
    │    ├─ ModelDamaged                              the file is not what it claims to be
    │    └─ UnsupportedModel
    ├─ MediaError(OSError)                  exit 2    path: a picture or film that cannot be read
    │    └─ OutputError                               path: a result that cannot be written
    ├─ NodeError                            exit 1    any other failure inside a node, the cause chained
    ├─ OutOfMemory(MemoryError)             exit 1    device, tile
    ├─ HardwareMissing(ImportError)         exit 2    feature
    └─ Cancelled                            exit 130

Each is also the built-in that a Python user expects. Foreign errors are translated at one edge, chained with ``from``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class Upscale8KError(Exception):
    """``what`` happened in one sentence, and as ``hint`` the next step for the person who reads it."""

    exit_code = 1
    node: str = ""
    """The node it happened in, as a person would name it; set by the executor."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        where = f"{self.node}: " if self.node else ""
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
    """How every message names a node: ``node 3 (LoadImage "The photo")``."""
    title_suffix = f' "{title}"' if title and title != class_type else ""
    return f"node {node_id} ({class_type or 'unknown'}{title_suffix})"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a workflow, complete enough to be mended without a second look.

    ``kind`` is ComfyUI's own error type where it has one (``value_not_in_list``, ``return_type_mismatch``, ...).
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
    """A workflow with problems. ``problems`` holds all of them, never only the first."""

    def __init__(self, problems: Sequence[Problem], *, path: Path | None = None) -> None:
        self.problems = tuple(problems)
        count = f"{len(self.problems)} problems" if len(self.problems) != 1 else "1 problem"
        super().__init__(f"{path.name if path else 'The workflow'} has {count}:", path=path)

    def __str__(self) -> str:
        return "\n".join([self.what, *(f"  - {problem}" for problem in self.problems)])


class ModelError(Upscale8KError):
    """Weights that are missing, damaged or not of a kind that can be used."""

    exit_code = 2

    def __init__(self, what: str, hint: str = "", *, model: str | None = None, path: Path | None = None) -> None:
        super().__init__(what, hint)
        self.model = model
        self.path = path


class ModelNotFound(ModelError, FileNotFoundError):
    """No file for this model; the hint names the ``models pull`` line when there is one."""


class ModelDamaged(ModelError):
    """The bytes are not those of the model: truncated, changed, or holding code instead of tensors."""


class UnsupportedModel(ModelError):
    """The file is whole, but holds no single-image super-resolution model; says which keys were seen."""


class MediaError(Upscale8KError, OSError):
    """A picture or film that cannot be read."""

    exit_code = 2

    def __init__(self, what: str, hint: str = "", *, path: Path | None = None) -> None:
        super().__init__(what, hint)
        self.path = path


class OutputError(MediaError):
    """A result that cannot be written. Nothing stands under its final name."""


NODE_BUG_HINT = "This is a bug in the node: report it to its author."


class NodeError(Upscale8KError):
    """A node failed in a way that it has no sentence for. The cause is chained."""


class OutOfMemory(Upscale8KError, MemoryError):
    """Not even the smallest tile fits."""

    def __init__(self, what: str, hint: str = "", *, device: str, tile: int) -> None:
        super().__init__(what, hint)
        self.device = device
        self.tile = tile


class HardwareMissing(Upscale8KError, ImportError):
    """A device or a library that was asked for is not here; the hint names what to install."""

    exit_code = 2

    def __init__(self, what: str, hint: str = "", *, feature: str) -> None:
        super().__init__(what, hint)
        self.feature = feature


class Cancelled(Upscale8KError):
    """The person at the other end asked to stop."""

    exit_code = 130
