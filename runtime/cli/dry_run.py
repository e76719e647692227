"""``run --dry-run``: describe a run without running anything."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..graph import ExecutionPlan, NodeCache, Prompt, dry_run, format_label, make_plan
from ..host import LocalHost
from ..paths import expand_tokens, resolve_inside
from .load_workflow import LoadedWorkflow
from .required_files import RequiredFile, find_required_files

_RESULT_NAME_INPUTS = ("filename_prefix", "filename")


def describe_run(
    loaded: LoadedWorkflow, catalog: Mapping[str, type], host: LocalHost, cache: NodeCache | None
) -> Iterator[str]:
    """Yield lines for the user: the nodes in order, the cached nodes, the files to read, the results."""
    run_plan = make_plan(loaded.prompt, catalog, loaded.outputs)
    calls, cached = dry_run(run_plan, catalog, cache)
    outputs = _format_count(len(run_plan.outputs), "output")
    yield f"{loaded.document.path}: {_format_count(len(calls), 'node')} would run for {outputs}."
    for position, node_id in enumerate(calls, 1):
        yield f"{position:4}  {format_label(loaded.prompt, node_id)}"
    yield from _format_section("From the cache, without running:", [format_label(loaded.prompt, node_id) for node_id in cached])
    required_files = find_required_files(loaded.prompt, calls, catalog, host)
    yield from _format_section("Reads:", [_format_required_file(need) for need in required_files])
    yield from _format_section("Writes:", list(_describe_results(loaded.prompt, run_plan, calls, host)))


def describe_required_files(loaded: LoadedWorkflow, catalog: Mapping[str, type], host: LocalHost) -> Iterator[str]:
    """Yield the files that a workflow names, if it cannot run and therefore has no execution order."""
    known_ids = [node_id for node_id, node in loaded.prompt.items() if node["class_type"] in catalog]
    yield from _format_section(
        "Reads:", [_format_required_file(need) for need in find_required_files(loaded.prompt, known_ids, catalog, host)]
    )


def _format_section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield title
        yield from (f"      {line}" for line in lines)


def _format_required_file(required_file: RequiredFile) -> str:
    location = f"{required_file.path} ({_format_size(required_file.path)})" if required_file.path else "not here"
    return f"{required_file.kind} {required_file.name}: {location}"


def _format_size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"


def _describe_results(prompt: Prompt, run_plan: ExecutionPlan, calls: Sequence[str], host: LocalHost) -> Iterator[str]:
    root = host.folder("output").absolute()
    for node_id in [node_id for node_id in run_plan.outputs if node_id in calls]:
        inputs: Mapping[str, Any] = prompt[node_id]["inputs"]
        name = next((inputs[one] for one in _RESULT_NAME_INPUTS if isinstance(inputs.get(one), str)), None)
        if name is not None:
            output_path = resolve_inside(root, expand_tokens(name)) or root
            yield f"{format_label(prompt, node_id)}: {output_path}{'/' if name.endswith('/') else ''}*"


def _format_count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
