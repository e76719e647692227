"""Run a loaded workflow: show its events, and collect the files that it wrote."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from .. import graph
from ..errors import NodeError
from ..host import LocalHost
from .display import Display
from .load_workflow import LoadedWorkflow
from .program_name import insert_program_name


@dataclass
class RunOutcome:
    """The result of a run. ``files`` are the files of the outputs in order, each once."""

    files: list[Path] = field(default_factory=list[Path])
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the nodes that measure found, by node id."""
    failed_count: int = 0
    lost_outputs: list[str] = field(default_factory=list[str])
    """Outputs that are missing because a node failed."""


def run_workflow(
    loaded: LoadedWorkflow,
    catalog: Mapping[str, type],
    host: LocalHost,
    display: Display,
    *,
    keep_going: bool = False,
    cache: graph.NodeCache | None = None,
) -> RunOutcome:
    """Run a loaded workflow. Raises the first error of a node; with ``keep_going`` all errors are shown instead."""
    outcome = RunOutcome()
    run_plan = graph.make_plan(loaded.prompt, catalog, loaded.outputs)
    written: dict[str, list[Path]] = {}
    reused: set[str] = set()
    events = graph.execute_plan(run_plan, catalog, extra_pnginfo=loaded.extra_pnginfo, cache=cache, keep_going=keep_going)
    for event in events:
        if isinstance(event, graph.NodeStarted):
            display.start_node(event.title or event.class_type, event.node_id)
            reused.discard(event.node_id)  # its cached result was damaged
        elif isinstance(event, graph.NodeBlocked):
            display.show_message(event.message)
        elif isinstance(event, graph.NodeFailed) and keep_going:
            _record_failure(event, outcome, display)
        elif isinstance(event, graph.NodeFinished | graph.NodeCached):
            written[event.node_id] = _find_output_files(event.ui, host)
            for value in event.ui.get("values", []):
                outcome.values[event.node_id] = value
                display.show_value(event.title or event.class_type, event.node_id, value)
            reused |= {event.node_id} if isinstance(event, graph.NodeCached) else set()
    if cache is not None:
        display.start_node("")
        display.show_message(f"{len(reused)} of {len(run_plan.order)} nodes came from the cache.")
    positions = {node_id: place for place, node_id in enumerate(run_plan.order)}
    ordered = sorted(written, key=lambda node_id: positions.get(node_id, len(positions)))
    outcome.files = list(dict.fromkeys(path for node_id in ordered for path in written[node_id]))
    return outcome


def _record_failure(event: graph.NodeFailed, outcome: RunOutcome, display: Display) -> None:
    outcome.failed_count += 1
    outcome.lost_outputs += event.lost_outputs
    display.start_node("")
    display.show_message(insert_program_name(f"Error: {event.error}"))


def report_skipped_outputs(loaded: LoadedWorkflow, runnable: LoadedWorkflow, display: Display) -> None:
    """Show every problem of a workflow that runs in part, and the outputs that are skipped because of them."""
    for problem in loaded.problems:
        display.show_message(insert_program_name(f"Error: {problem}"))
    skipped = [graph.format_label(loaded.prompt, output) for output in loaded.outputs if output not in runnable.outputs]
    if skipped:
        display.show_message(f"Skipped because of that: {', '.join(skipped)}.")


def make_failure_error(loaded: LoadedWorkflow, runnable: LoadedWorkflow, outcome: RunOutcome) -> NodeError | None:
    """Return one error for everything that a run with ``keep_going`` could not do; None if it did everything."""
    lost = [output for output in loaded.outputs if output not in runnable.outputs or output in outcome.lost_outputs]
    if not lost and not outcome.failed_count and not loaded.problems:
        return None
    named = ", ".join(graph.format_label(loaded.prompt, output) for output in lost)
    what = f"{len(lost)} of {len(loaded.outputs)} outputs could not be made: {named}." if lost else "Not everything could run."
    return NodeError(what, "See the errors above.")


def _find_output_files(ui: Mapping[str, list[Any]], host: LocalHost) -> list[Path]:
    """Return the result files, without those in the temporary folder. An image sequence is returned as its pattern."""
    shown = [cast("dict[str, Any]", item) for item in ui.get("series") or ui.get("images", []) if isinstance(item, dict)]
    # A node of another pack may show images without files, and return any value for them.
    named = [item for item in shown if item.get("type") == "output" and isinstance(item.get("filename"), str)]
    return [host.folder("output") / str(item.get("subfolder") or "") / item["filename"] for item in named]
