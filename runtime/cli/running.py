"""A prepared workflow, run: its events become progress, sentences, and the files that it wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from ..errors import NodeError
from ..graph.cache import Cache
from ..graph.execute import Blocked, Cached, Failed, Finished, Started, execute
from ..graph.plan import plan
from ..graph.prompts import label_of
from ..host import LocalHost
from .display import Display
from .prepared import Prepared
from .program import worded


@dataclass
class Outcome:
    """``files`` are those of the outputs, each once, in order. ``failed`` counts the nodes that failed."""

    files: list[Path] = field(default_factory=list[Path])
    failed: int = 0
    lost: list[str] = field(default_factory=list[str])
    """Outputs that could not be had because a node failed."""


def run(
    prepared: Prepared,
    catalog: Mapping[str, type],
    host: LocalHost,
    display: Display,
    *,
    keep_going: bool = False,
    cache: Cache | None = None,
) -> Outcome:
    """Run a prepared workflow. Raises the first error of a node; with ``keep_going`` every one is said instead."""
    outcome = Outcome()
    planned = plan(prepared.prompt, catalog, prepared.outputs)
    written: dict[str, list[Path]] = {}
    reused: set[str] = set()
    events = execute(planned, catalog, extra_pnginfo=prepared.extra_pnginfo, cache=cache, keep_going=keep_going)
    for event in events:
        if isinstance(event, Started):
            display.node(event.title or event.class_type)
            reused.discard(event.node_id)  # what was left behind for it was damaged
        elif isinstance(event, Blocked):
            display.say(event.message)
        elif isinstance(event, Failed) and keep_going:
            _note(event, outcome, display)
        elif isinstance(event, Finished | Cached):
            written[event.node_id] = _files(event.ui, host)
            reused |= {event.node_id} if isinstance(event, Cached) else set()
    if cache is not None:
        display.node("")
        display.say(f"{len(reused)} of {len(planned.order)} nodes came from the cache.")
    places = {node_id: place for place, node_id in enumerate(planned.order)}
    ordered = sorted(written, key=lambda node_id: places.get(node_id, len(places)))
    outcome.files = list(dict.fromkeys(path for node_id in ordered for path in written[node_id]))
    return outcome


def _note(event: Failed, outcome: Outcome, display: Display) -> None:
    outcome.failed += 1
    outcome.lost += event.lost
    display.node("")
    display.say(worded(f"Error: {event.error}"))


def report_left_out(prepared: Prepared, going: Prepared, display: Display) -> None:
    """Say every problem of a workflow that runs in part, and which outputs are left out because of them."""
    for problem in prepared.problems:
        display.say(worded(f"Error: {problem}"))
    left_out = [label_of(prepared.prompt, output) for output in prepared.outputs if output not in going.outputs]
    if left_out:
        display.say(f"Left out because of that: {', '.join(left_out)}.")


def verdict(prepared: Prepared, going: Prepared, outcome: Outcome) -> NodeError | None:
    """What a run that kept going could not do, as one error; None when it did everything."""
    lost = [output for output in prepared.outputs if output not in going.outputs or output in outcome.lost]
    if not lost and not outcome.failed and not prepared.problems:
        return None
    named = ", ".join(label_of(prepared.prompt, output) for output in lost)
    what = (
        f"{len(lost)} of {len(prepared.outputs)} outputs could not be made: {named}." if lost else "Not everything could run."
    )
    return NodeError(what, "See the errors above.")


def _files(ui: Mapping[str, list[Any]], host: LocalHost) -> list[Path]:
    """Results that stay: what went to the temporary folder is gone when the run ends. A series goes by the pattern of it."""
    shown = [cast("dict[str, Any]", item) for item in ui.get("series") or ui.get("images", []) if isinstance(item, dict)]
    # A pack's node may show pictures that are in no file, and say of it what it likes.
    named = [item for item in shown if item.get("type") == "output" and isinstance(item.get("filename"), str)]
    return [host.folder("output") / str(item.get("subfolder") or "") / item["filename"] for item in named]
