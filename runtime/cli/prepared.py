"""A workflow file as a prompt that may run: read, converted, changed by ``--set``, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import Problem, WorkflowError, WorkflowRejected
from ..graph.check import check
from ..graph.convert import Conversion, convert
from ..graph.definitions import is_output
from ..graph.document import Document, read
from ..graph.overrides import apply
from ..graph.plan import good_outputs
from ..graph.prompts import Prompt, natural_key, reachable
from ..graph.targets import find_outputs
from .film_tags import film_tags


@dataclass(frozen=True)
class Prepared:
    """A workflow in API form, and everything that is wrong with it."""

    prompt: Prompt
    document: Document
    changed: bool
    """Whether ``--set`` made it another workflow than the document."""
    problems: list[Problem]
    outputs: list[str]
    """The nodes that it is run for."""

    @property
    def extra_pnginfo(self) -> dict[str, Any] | None:
        """What results carry for the canvas; it prefers this to the prompt, so it must be the graph that made them."""
        return {"workflow": self.document.ui} if self.document.ui and not self.changed else None

    def accepted(self) -> Prepared:
        """Itself; raises ``WorkflowRejected`` with every problem when there is any."""
        if self.problems:
            raise WorkflowRejected(self.problems, path=self.document.path)
        return self

    def good(self, catalog: Mapping[str, type]) -> Prepared:
        """As much of it as can run: the outputs that no problem concerns. Raises ``WorkflowRejected`` when there is none."""
        if not self.problems:
            return self
        good = set(good_outputs(self.prompt, catalog, self.problems)) if self.prompt else set[str]()
        outputs = [output for output in self.outputs if output in good]
        if not outputs:
            self.accepted()
        return replace(self, outputs=outputs)


def to_prompt(document: Document, definitions: Mapping[str, Any]) -> Conversion:
    """The document as an API prompt, and what could not be converted. Raises ``WorkflowError`` that names the file."""
    if document.prompt is not None:
        return Conversion(document.prompt, [], {})
    try:
        return convert(document.ui or {}, definitions)
    except WorkflowError as error:
        raise WorkflowError(f"{document.path}: {error.what}", error.hint, path=document.path) from error


def prepare(
    path: Path,
    settings: Sequence[str],
    catalog: Mapping[str, type],
    definitions: Mapping[str, Any],
    outputs: Sequence[str] = (),
) -> Prepared:
    """Read, convert, apply ``--set`` and check; ``outputs`` limits all of it to what these nodes need.

    Raises ``WorkflowError`` for a file that is no workflow, and for what ``--set`` or ``--outputs`` name and is not there.
    """
    document = read(path, film_tags)
    conversion = to_prompt(document, definitions)
    prompt = conversion.prompt
    for assignment in settings:
        prompt = _set(prompt, assignment, catalog)
    chosen = find_outputs(prompt, outputs, catalog) if outputs else None
    checked = check(prompt, catalog, packs=conversion.packs, outputs=chosen)
    reported = {(problem.node_id, problem.kind) for problem in conversion.problems}
    reported |= {(node_id, "missing_node_type") for node_id, kind in reported if kind == "legacy_group_node"}
    problems = conversion.problems + [found for found in checked.problems if (found.node_id, found.kind) not in reported]
    if chosen is not None:
        needed = {None, *reachable(prompt, chosen)}
        problems = [problem for problem in problems if problem.node_id in needed]
    return Prepared(checked.prompt, document, bool(settings), problems, _outputs(checked.prompt, catalog, chosen))


def _outputs(prompt: Prompt, catalog: Mapping[str, type], chosen: Sequence[str] | None) -> list[str]:
    if chosen is not None:
        return list(chosen)
    found = [node_id for node_id, node in prompt.items() if is_output(catalog.get(node["class_type"], object))]
    return sorted(found, key=natural_key)


def _set(prompt: Prompt, assignment: str, catalog: Mapping[str, type]) -> Prompt:
    try:
        return apply(prompt, assignment, catalog)
    except WorkflowError as error:
        raise WorkflowError(
            f"--set {assignment}: {error.what}", error.hint, node_id=error.node_id, input_name=error.input_name
        ) from error
