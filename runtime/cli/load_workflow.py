"""Load a workflow file, or a video with one in its tags, as a prompt: read, convert, apply ``--set`` and check it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import graph
from ..errors import Problem, WorkflowError, WorkflowRejected


@dataclass(frozen=True)
class LoadedWorkflow:
    """A workflow in API form and its problems."""

    prompt: graph.Prompt
    document: graph.Document
    is_modified: bool
    """Whether ``--set`` changed the workflow of the document."""
    problems: list[Problem]
    outputs: list[str]
    """The ids of the output nodes to run."""
    notes: list[Problem] = field(default_factory=list[Problem])
    """Values of the file that are ignored."""

    @property
    def extra_pnginfo(self) -> dict[str, Any] | None:
        """The canvas workflow for the metadata of results; None if it is not the graph that was run."""
        return {"workflow": self.document.ui} if self.document.ui and not self.is_modified else None

    def require_valid(self) -> LoadedWorkflow:
        """Return itself. Raises ``WorkflowRejected`` with every problem if there are any."""
        if self.problems:
            raise WorkflowRejected(self.problems, path=self.document.path)
        return self

    def select_runnable_outputs(self, catalog: Mapping[str, type]) -> LoadedWorkflow:
        """Return the part that can run: outputs without problems. Raises ``WorkflowRejected`` if there are none."""
        if not self.problems:
            return self
        runnable = set(graph.find_runnable_outputs(self.prompt, catalog, self.problems)) if self.prompt else set[str]()
        outputs = [output for output in self.outputs if output in runnable]
        if not outputs:
            self.require_valid()
        return replace(self, outputs=outputs)


def convert_document(document: graph.Document, definitions: Mapping[str, Any]) -> graph.WorkflowConversion:
    """Convert a document to an API prompt with its conversion problems. Raises ``WorkflowError`` that names the file."""
    if document.prompt is not None:
        return graph.WorkflowConversion(document.prompt, [], {})
    try:
        return graph.convert_workflow(document.ui or {}, definitions)
    except WorkflowError as error:
        raise WorkflowError(f"{document.path}: {error.what}", error.hint, path=document.path) from error


def load_workflow(
    path: Path,
    settings: Sequence[str],
    catalog: Mapping[str, type],
    definitions: Mapping[str, Any],
    outputs: Sequence[str] = (),
    engine: str | None = None,
) -> LoadedWorkflow:
    """Read and convert a workflow, apply ``--set`` and check it; ``outputs`` limits it to the nodes that these outputs need.

    ``engine`` other than None adds TRT Build to each upscale node without one, see ``_add_engines``.

    Raises ``WorkflowError`` for a file that is not a workflow, and for unknown names in ``--set`` or ``--outputs``.
    """
    document = graph.read_document(path, read_video_tags)
    conversion = convert_document(document, definitions)
    prompt = conversion.prompt
    for assignment in settings:
        prompt = _apply_setting(prompt, assignment, catalog)
    if engine is not None:
        prompt = _add_engines(prompt, engine)
    selected = graph.find_outputs(prompt, outputs, catalog) if outputs else None
    checked = graph.check_prompt(prompt, catalog, packs=conversion.packs, outputs=selected)
    reported = {(problem.node_id, problem.kind) for problem in conversion.problems}
    reported |= {(node_id, "missing_node_type") for node_id, kind in reported if kind == "legacy_group_node"}
    problems = conversion.problems + [found for found in checked.problems if (found.node_id, found.kind) not in reported]
    notes = conversion.notes + checked.notes
    if selected is not None:
        needed = {None, *graph.find_reachable(prompt, selected)}
        problems = [problem for problem in problems if problem.node_id in needed]
        notes = [note for note in notes if note.node_id in needed]
    return LoadedWorkflow(
        checked.prompt,
        document,
        bool(settings) or engine is not None,
        problems,
        _select_outputs(checked.prompt, catalog, selected),
        notes,
    )


def _select_outputs(prompt: graph.Prompt, catalog: Mapping[str, type], selected: Sequence[str] | None) -> list[str]:
    return list(selected) if selected is not None else graph.list_outputs(prompt, catalog)


def _apply_setting(prompt: graph.Prompt, assignment: str, catalog: Mapping[str, type]) -> graph.Prompt:
    try:
        return graph.apply_override(prompt, assignment, catalog)
    except WorkflowError as error:
        raise WorkflowError(
            f"--set {assignment}: {error.what}", error.hint, node_id=error.node_id, input_name=error.input_name
        ) from error


def _add_engines(prompt: graph.Prompt, engine: str) -> graph.Prompt:
    """Return ``prompt`` with a TRT Build between each of our upscale nodes and its model, where there is none.

    It gets the node's tile, its precision and the name ``engine``, which is empty for an engine in the cache folder.
    """
    changed = dict(prompt)
    for node_id, node in prompt.items():
        inputs: dict[str, Any] = node["inputs"]
        model = inputs.get("upscale_model")
        is_upscale = node["class_type"] in ("TiledUpscale", "TiledUpscaleVideo")
        if not is_upscale or not graph.is_link(model) or prompt.get(model[0], {}).get("class_type") == "TRTBuild":
            continue
        settings = {name: inputs[name] for name in ("tile", "precision") if inputs.get(name) not in (None, 0, "bf16")}
        changed[f"{node_id}:engine"] = {
            "class_type": "TRTBuild",
            "inputs": {"upscale_model": model, "engine": engine, **settings},
        }
        changed[node_id] = {**node, "inputs": {**inputs, "upscale_model": [f"{node_id}:engine", 0]}}
    return changed


_ALLOWED_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm"
"""Containers that can have a workflow; no playlists, because they name other files."""


def read_video_tags(path: Path) -> dict[str, str]:
    """Return text by lower-case name (Matroska has upper-case names). Raises ``WorkflowError`` for other files."""
    import av
    from av.error import FFmpegError

    options = {"format_whitelist": _ALLOWED_FORMATS, "protocol_whitelist": "file"}
    try:
        try:
            container = av.open(str(path.absolute()), "r", options=options)
        except UnicodeDecodeError:  # PyAV 18 rejects tags that are not UTF-8; PyAV 19 accepts them, without this argument
            container = av.open(str(path.absolute()), "r", options=options, metadata_errors="replace")
        with container:
            return {name.lower(): text for name, text in container.metadata.items()}
    except (FFmpegError, OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        what = f"{path} cannot be read as a video with a workflow: {why}."
        raise WorkflowError(what, graph.EXPORT_HINT, path=path) from error
