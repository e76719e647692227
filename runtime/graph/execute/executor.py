"""Run a plan, one node after the other, and release every result after its last reader.

The executor never inspects a value. To save memory, no frame of this module holds a result while an event is yielded.
"""

import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

from ...errors import NODE_BUG_HINT, Cancelled, NodeError, Upscale8KError, WorkflowError, is_stop
from ..definitions import is_output_class
from ..prompts import Edge, is_link, iterate_edges, walk
from .async_tasks import AsyncTasks, get_unfinished, unwrap_task
from .cache_keys import CacheKeys, EqualNodes
from .dynamic_prompt import DynamicPrompt
from .events import NodeBlocked, NodeCached, NodeEvent, NodeFailed, NodeFinished, NodeStarted
from .node_cache import CachedResult, NodeCache
from .node_call import (
    CallResult,
    Inputs,
    call_per_element,
    gather_inputs,
    has_list_inputs,
    merge_call_results,
    parse_call_result,
    read_unlinked,
)
from .plan import ExecutionPlan
from .schedule import Schedule


def execute_plan(
    plan: ExecutionPlan,
    catalog: Mapping[str, type],
    *,
    extra_pnginfo: Mapping[str, Any] | None = None,
    cache: NodeCache | None = None,
    keep_going: bool = False,
) -> Iterator[NodeEvent]:
    """Run a plan whose prompt ``check_prompt`` has passed; ``extra_pnginfo`` is normally ``{"workflow": the UI workflow}``.

    With a ``cache``, results of earlier runs are reused and those of this run are stored. The first error of a node is raised
    after its ``NodeFailed`` event, with the node in ``.node``: an ``Upscale8KError`` as it is, ``Cancelled`` for Ctrl-C,
    anything else as ``NodeError`` with the cause chained. With ``keep_going`` only ``Cancelled`` is raised, and nodes that do
    not depend on the failed one still run. Closing the generator releases the results.
    """
    run = _PlanExecutor(plan, catalog, extra_pnginfo, cache)
    try:
        yield from run.iterate_events(keep_going)
    finally:
        run.close()


def dry_run(plan: ExecutionPlan, catalog: Mapping[str, type], cache: NodeCache | None = None) -> tuple[list[str], list[str]]:
    """Return the nodes that a run would call, in order, and those whose results are cached. Nothing runs."""
    run = _PlanExecutor(plan, catalog, None, cache)
    try:
        return run.predict_calls()
    finally:
        run.close()


@dataclass
class _RunningNode:
    """A started node. ``call_results`` may hold tasks; ``expansion_results`` wait for added nodes."""

    cls: type
    start_time: float
    call_results: list[Any]
    expansion_results: list[CallResult] = field(default_factory=list[CallResult])


class _PlanExecutor:
    def __init__(
        self, plan: ExecutionPlan, catalog: Mapping[str, type], extra_pnginfo: Mapping[str, Any] | None, cache: NodeCache | None
    ) -> None:
        self.plan = plan
        self.catalog = catalog
        self.extra_pnginfo = extra_pnginfo
        self.cache = cache
        self.prompt = DynamicPrompt(plan.prompt, plan.folded)
        self.tasks = AsyncTasks()
        self.cached_results: dict[str, CachedResult | None] = {}
        self.cache_keys = CacheKeys(self.prompt, catalog, self._compute_version)
        self.static_keys = CacheKeys(self.prompt, catalog, lambda _: None)
        self.schedule = Schedule(
            self.prompt, catalog, plan.order, EqualNodes(self.cache_keys, self.static_keys), self._has_cached_result
        )
        self.node_objects: dict[str, object] = {}
        self.running_nodes: dict[str, _RunningNode] = {}
        self.waiting_nodes: set[str] = set()

    def iterate_events(self, keep_going: bool) -> Iterator[NodeEvent]:
        yield from self._make_cached_events(self.plan.order)
        self.schedule.start(self.plan.outputs)
        while (node_id := self._wait_for_next()) is not None:
            failure = None
            try:
                if node_id not in self.running_nodes:
                    if self._has_cached_result(node_id):
                        self._load_cached(node_id)
                        continue
                    if self._request_lazy_inputs(node_id):
                        continue
                    yield NodeStarted(*self._make_event_fields(node_id))
                events = self._advance_node(node_id)
            except Upscale8KError as error:
                events = [failure := self._fail_node(node_id, error)]
            yield from events
            if failure is not None:
                _raise_or_release(failure.error, keep_going)
        if cycle := self.schedule.find_cycle():
            yield (failure := self._fail_node(cycle[0], self._make_cycle_error(cycle)))
            _raise_or_release(failure.error, keep_going)

    def predict_calls(self) -> tuple[list[str], list[str]]:
        def list_origins(node_id: str) -> list[str]:
            edges = () if self._has_cached_result(node_id) else iterate_edges(self.prompt.get_node(node_id))
            return [edge.origin for edge in edges]

        needed = walk(self.plan.outputs, list_origins)
        order = [node_id for node_id in self.plan.order if node_id in needed]
        reusable = [node_id for node_id in order if self._has_cached_result(node_id)]
        return [node_id for node_id in order if node_id not in reusable], reusable

    def close(self) -> None:
        self.tasks.close()
        self.running_nodes.clear()
        self.schedule.results.clear()
        self.cached_results.clear()
        if self.cache is not None:
            self.cache.close()

    def _wait_for_next(self) -> str | None:
        """Return the next node to run or resume. Tasks advance in between and are awaited when nothing else can run."""
        if self.waiting_nodes:
            self.tasks.step()
            self._resume_waiting()
        node_id = self.schedule.pop_next()
        while node_id is None and self.waiting_nodes:
            with self._translate_errors(min(self.waiting_nodes)):
                self.tasks.wait_for_any(
                    task
                    for waiting_id in self.waiting_nodes
                    for task in get_unfinished(self.running_nodes[waiting_id].call_results)
                )
            self._resume_waiting()
            node_id = self.schedule.pop_next()
        return node_id

    def _resume_waiting(self) -> None:
        for node_id in [
            node_id for node_id in self.waiting_nodes if not get_unfinished(self.running_nodes[node_id].call_results)
        ]:
            self.waiting_nodes.remove(node_id)
            self.schedule.resume_node(node_id)

    # ------------------------------------------------------------------ one node

    def _request_lazy_inputs(self, node_id: str) -> bool:
        """Ask ``check_lazy_status`` which inputs it needs; return whether some must be computed first."""
        node = self._get_node_object(node_id)
        check_lazy_status = getattr(node, "check_lazy_status", None)
        if check_lazy_status is None:
            return False
        missing = {edge.name for edge in self.schedule.get_edges(node_id) if not self.schedule.is_evaluated(node_id, edge)}
        with self._translate_errors(node_id):
            inputs = self._gather_inputs(node_id)
            call_results = self.tasks.wait_for_all(self._call(node_id, check_lazy_status, inputs))
            lists = [cast("list[Any]", call_result) for call_result in call_results if isinstance(call_result, list)]
            requested = {str(name) for names in lists for name in names if name not in inputs or name in missing}
            if requested:
                self.schedule.request_inputs(node_id, requested)
        return bool(requested)

    def _advance_node(self, node_id: str) -> list[NodeEvent]:
        """Call a node or resume one. Return no events while it has to wait."""
        with self._translate_errors(node_id):
            if node_id not in self.running_nodes:
                self.running_nodes[node_id] = self._start_node(node_id)
            running = self.running_nodes[node_id]
            if running.expansion_results:
                return self._finish_node(
                    node_id, running, [self._resolve_links(call_result) for call_result in running.expansion_results]
                )
            if get_unfinished(running.call_results):
                self.waiting_nodes.add(node_id)
                return []
            call_results = [parse_call_result(running.cls, unwrap_task(call_result)) for call_result in running.call_results]
            if any(call_result.expand is not None for call_result in call_results):
                running.call_results.clear()
                running.expansion_results = [
                    replace(call_result, expand=call_result.expand and {}) for call_result in call_results
                ]
                return self._expand_node(node_id, call_results)
            return self._finish_node(node_id, running, call_results)

    def _start_node(self, node_id: str) -> _RunningNode:
        cls = self._get_class(node_id)
        start_time = time.perf_counter()
        function = getattr(self._get_node_object(node_id), cast("str", cast("Any", cls).FUNCTION))
        running = _RunningNode(cls, start_time, self._call(node_id, function, self._gather_inputs(node_id)))
        if get_unfinished(running.call_results):
            self.tasks.step()
        return running

    def _finish_node(self, node_id: str, running: _RunningNode, call_results: Sequence[CallResult]) -> list[NodeEvent]:
        results = merge_call_results(running.cls, call_results)
        event_fields = self._make_event_fields(node_id)
        self._release_node(node_id)
        key = self.cache_keys[node_id] if self.cache is not None else None
        if self.cache is not None and key is not None:
            results = self.cache.store(key, running.cls, results)
        self.schedule.finish_node(node_id, results.slots)
        messages = [call_result.block_message for call_result in call_results if call_result.block_message is not None]
        aliases = self.schedule.aliases.pop(node_id, [])
        return [
            *(NodeBlocked(*event_fields, message) for message in messages),
            NodeFinished(*event_fields, time.perf_counter() - running.start_time, results.ui),
            *(NodeCached(*self._make_event_fields(alias), results.ui) for alias in aliases),
        ]

    def _load_cached(self, node_id: str) -> None:
        """Load the cached results of a node, or schedule it if they are damaged."""
        cached = self.cached_results[node_id]
        with self._translate_errors(node_id):
            results = cached.load() if cached is not None else None
        if results is not None:
            self.schedule.finish_node(node_id, results.slots)
        else:
            self.cached_results[node_id] = None
            self.schedule.reschedule_node(node_id)

    def _fail_node(self, node_id: str, error: Upscale8KError) -> NodeFailed:
        error.node = error.node or self.prompt.format_label(node_id)
        if error.exit_code != Cancelled.exit_code:
            error.exit_code = NodeError.exit_code  # whatever the kind of error: the workflow was valid, and a node failed
        lost = self.schedule.fail_node(node_id)
        for lost_id in lost:
            self._release_node(lost_id)
        outputs = [output for output in self.plan.outputs if self.schedule.get_representative(output) in lost]
        workflow_node_id = self.prompt.get_real_node_id(node_id)
        return NodeFailed(*self._make_event_fields(workflow_node_id), error, tuple(outputs))

    def _release_node(self, node_id: str) -> None:
        running = self.running_nodes.pop(node_id, None)
        for task in get_unfinished(running.call_results) if running else ():
            task.cancel()
        self.node_objects.pop(node_id, None)
        self.waiting_nodes.discard(node_id)

    # ------------------------------------------------------------------ expansion

    def _expand_node(self, node_id: str, call_results: Sequence[CallResult]) -> list[NodeEvent]:
        """Add the nodes of an expansion. Their parent resumes when the results that it passes on exist."""
        added: list[str] = []
        for call_result in call_results:
            for new_id, node in (call_result.expand or {}).items():
                if self.schedule.is_scheduled(new_id) or new_id in self.plan.prompt:
                    raise NodeError(f"It added the node {new_id}, which exists already.", NODE_BUG_HINT)
                self.prompt.add_node(new_id, node, node_id)
                self.cache_keys.forget_node(new_id)
                self.static_keys.forget_node(new_id)
                self.cached_results.pop(new_id, None)
                added.append(new_id)
        outputs = [
            new_id for new_id in added if is_output_class(self.catalog.get(self.prompt.get_node(new_id)["class_type"], object))
        ]
        links = [(link[0], int(link[1])) for call_result in call_results for link in _get_expansion_links(call_result)]
        self.schedule.expand_node(node_id, links, outputs)
        return self._make_cached_events(outputs)

    def _resolve_links(self, call_result: CallResult) -> CallResult:
        """Replace links in a result by all elements of their lists, one after the other, as ComfyUI does."""
        if call_result.expand is None:
            return call_result
        result: list[Any] = []
        for value in call_result.outputs or ():
            result += self.schedule.get_result(value[0], int(value[1])) if is_link(value) else [value]
        return CallResult(result, call_result.ui)

    def _make_cycle_error(self, cycle: Sequence[str]) -> Upscale8KError:
        path = " -> ".join(f"{node_id} ({self.prompt.get_node(node_id)['class_type']})" for node_id in cycle)
        return WorkflowError(f"The added nodes wait for each other: {path}.", NODE_BUG_HINT)

    # ------------------------------------------------------------------ access to nodes

    def _get_class(self, node_id: str) -> type:
        return self.catalog[self.prompt.get_node(node_id)["class_type"]]

    def _get_node_object(self, node_id: str) -> object:
        """Return the object of a node, created on first use."""
        persistent = self.cache.get_node_object(node_id, self._get_class(node_id)) if self.cache is not None else None
        if persistent is not None:
            return persistent
        if node_id not in self.node_objects:
            with self._translate_errors(node_id):
                self.node_objects[node_id] = self._get_class(node_id)()
        return self.node_objects[node_id]

    def _gather_inputs(self, node_id: str) -> Inputs:
        return gather_inputs(
            node_id, self._get_class(node_id), self.prompt, self.extra_pnginfo, lambda edge: self._read_link(node_id, edge)
        )

    def _read_link(self, node_id: str, edge: Edge) -> list[Any]:
        is_evaluated = self.schedule.is_evaluated(node_id, edge)
        return self.schedule.get_result(edge.origin, edge.slot) if is_evaluated else [None]

    def _call(self, node_id: str, function: Callable[..., Any], inputs: Inputs) -> list[Any]:
        as_lists = has_list_inputs(self._get_class(node_id))
        return call_per_element(function, inputs, self.tasks.start_task, as_lists=as_lists, node_id=node_id)

    def _compute_version(self, node_id: str) -> Any:
        """Return what decides a node's result besides its inputs; NaN if unknown, which disables its caching."""
        change_token = self._call_is_changed(node_id)
        if self.cache is None:
            return change_token
        literals = {name: value for name, value in self.prompt.get_node(node_id)["inputs"].items() if not is_link(value)}
        return self.cache.compute_version(self._get_class(node_id), literals, change_token)

    def _call_is_changed(self, node_id: str) -> Any:
        """Return what ``IS_CHANGED`` returns for the literals of a node; NaN when it fails."""
        cls = self._get_class(node_id)
        function = getattr(cls, "IS_CHANGED", None)
        if function is None:
            return None
        try:
            inputs = gather_inputs(node_id, cls, self.prompt, None, read_unlinked)
            return self.tasks.wait_for_all(self._call(node_id, function, inputs))
        except Exception:
            return float("nan")

    def _has_cached_result(self, node_id: str) -> bool:
        """Return whether an earlier run left the results of a node. The first answer is remembered."""
        if self.cache is None:
            return False
        if node_id not in self.cached_results:
            key = self.cache_keys[node_id]
            self.cached_results[node_id] = self.cache.find(key) if key is not None else None
        return self.cached_results[node_id] is not None

    def _make_cached_events(self, node_ids: Sequence[str]) -> list[NodeEvent]:
        cached_results = [(node_id, self.cached_results[node_id]) for node_id in node_ids if self._has_cached_result(node_id)]
        return [
            NodeCached(*self._make_event_fields(node_id), dict(cached.ui))
            for node_id, cached in cached_results
            if cached is not None
        ]

    def _make_event_fields(self, node_id: str) -> tuple[str, str, str | None, str]:
        class_type = self.prompt.get_node(node_id)["class_type"]
        return node_id, class_type, self.prompt.get_title(node_id), self.prompt.get_display_node_id(node_id)

    @contextmanager
    def _translate_errors(self, node_id: str) -> Generator[None]:
        """Translate any error to an ``Upscale8KError`` that names the node."""
        label = self.prompt.format_label(node_id)
        try:
            yield
        except Upscale8KError as error:
            error.node = error.node or label
            raise
        except (KeyboardInterrupt, Exception) as error:
            what, hint = f"{type(error).__name__}: {error}".rstrip(".") + ".", "Run again with --traceback to see where."
            translated = Cancelled("Stopped.") if is_stop(error) else NodeError(what, hint)
            translated.node = label
            raise translated from error


def _raise_or_release(error: Upscale8KError, keep_going: bool) -> None:
    """Raise the error, or release the values in its traceback, because events may be kept for long."""
    if not keep_going or isinstance(error, Cancelled):
        raise error
    chained: BaseException | None = error
    while chained is not None:
        traceback.clear_frames(chained.__traceback__)
        chained = chained.__cause__


def _get_expansion_links(call_result: CallResult) -> list[list[Any]]:
    """Return the results of an expansion that are links."""
    return [value for value in call_result.outputs or () if is_link(value)] if call_result.expand is not None else []
