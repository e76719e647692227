"""``run --dry-run``: what a run would do, without doing any of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..graph.cache import Cache
from ..graph.execute import foresee
from ..graph.plan import Plan, plan
from ..graph.prompts import Prompt, label_of
from ..host import LocalHost, contained, expand_tokens
from .needs import Need, needs
from .prepared import Prepared

_NAMES_OF_RESULTS = ("filename_prefix", "filename")


def describe_run(prepared: Prepared, catalog: Mapping[str, type], host: LocalHost, cache: Cache | None) -> Iterator[str]:
    """Lines for a person: the nodes in order, those that the cache spares, the files that are read, the results."""
    planned = plan(prepared.prompt, catalog, prepared.outputs)
    calls, spared = foresee(planned, catalog, cache)
    yield f"{prepared.document.path}: {_count(len(calls), 'node')} would run for {_count(len(planned.outputs), 'output')}."
    for place, node_id in enumerate(calls, 1):
        yield f"{place:4}  {label_of(prepared.prompt, node_id)}"
    yield from _section("From the cache, without running:", [label_of(prepared.prompt, node_id) for node_id in spared])
    read = needs(prepared.prompt, calls, catalog, host)
    yield from _section("Reads:", [_needed(need) for need in read])
    yield from _section("Writes:", list(_results(prepared.prompt, planned, calls, host)))


def describe_needs(prepared: Prepared, catalog: Mapping[str, type], host: LocalHost) -> Iterator[str]:
    """The files that a workflow names, where it cannot run and so has no order."""
    known = [node_id for node_id, node in prepared.prompt.items() if node["class_type"] in catalog]
    yield from _section("Reads:", [_needed(need) for need in needs(prepared.prompt, known, catalog, host)])


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield title
        yield from (f"      {line}" for line in lines)


def _needed(need: Need) -> str:
    where = f"{need.path} ({_size(need.path)})" if need.path else "not here"
    return f"{need.kind} {need.name}: {where}"


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"


def _results(prompt: Prompt, planned: Plan, calls: Sequence[str], host: LocalHost) -> Iterator[str]:
    root = host.folder("output").absolute()
    for node_id in [node_id for node_id in planned.outputs if node_id in calls]:
        inputs: Mapping[str, Any] = prompt[node_id]["inputs"]
        name = next((inputs[one] for one in _NAMES_OF_RESULTS if isinstance(inputs.get(one), str)), None)
        if name is not None:
            place = contained(root, expand_tokens(name)) or root
            yield f"{label_of(prompt, node_id)}: {place}{'/' if name.endswith('/') else ''}*"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
