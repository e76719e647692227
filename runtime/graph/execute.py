"""Runs a plan, one node after the other, and lets go of every result after its last reader.

The executor moves references: it never looks into a value. Memory is the point of the whole design, so no frame of this
module holds a result while an event is out.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

from ..errors import Cancelled, NodeError, Upscale8KError, WorkflowError
from .cache import Cache, Found
from .calls import Answer, Inputs, call_each, merge, take_apart, takes_lists
from .definitions import is_output
from .events import Blocked, Cached, Event, Failed, Finished, Started
from .inputs import gather, not_linked
from .keys import Keys, Twins
from .live import LivePrompt
from .plan import Plan
from .prompts import Edge, edges, is_link
from .schedule import Schedule
from .tasks import Tasks, settled, unfinished

__all__ = ["Blocked", "Cached", "Event", "Failed", "Finished", "Started", "execute", "foresee"]


def execute(
    plan: Plan,
    catalog: Mapping[str, type],
    *,
    extra_pnginfo: Mapping[str, Any] | None = None,
    cache: Cache | None = None,
    keep_going: bool = False,
) -> Iterator[Event]:
    """Run a plan whose prompt has passed ``check``; ``extra_pnginfo`` is normally ``{"workflow": the UI workflow}``.

    With a ``cache``, results of earlier runs are used again and those of this run are left in it. The first error of a
    node is raised after its ``Failed`` event, naming the node in ``.node``: an ``Upscale8KError`` as it is, ``Cancelled``
    for Ctrl-C, anything else as ``NodeError`` with the cause chained. With ``keep_going`` only ``Cancelled`` is raised, and
    what does not depend on the failed node still runs. Results are released when the generator is closed.
    """
    run = _Run(plan, catalog, extra_pnginfo, cache)
    try:
        yield from run.events(keep_going)
    finally:
        run.close()


def foresee(plan: Plan, catalog: Mapping[str, type], cache: Cache | None = None) -> tuple[list[str], list[str]]:
    """What a run would do, without running anything: the nodes that it would call, in order, and those that it need not."""
    run = _Run(plan, catalog, None, cache)
    try:
        return run.foreseen()
    finally:
        run.close()


@dataclass
class _Work:
    """A node whose calls are made. ``answers`` may hold tasks; ``expanded`` are answers that wait for added nodes."""

    cls: type
    begun: float
    answers: list[Any]
    expanded: list[Answer] = field(default_factory=list[Answer])


class _Run:
    def __init__(
        self, plan: Plan, catalog: Mapping[str, type], extra_pnginfo: Mapping[str, Any] | None, cache: Cache | None
    ) -> None:
        self.plan = plan
        self.catalog = catalog
        self.extra_pnginfo = extra_pnginfo
        self.cache = cache
        self.live = LivePrompt(plan.prompt)
        self.tasks = Tasks()
        self.found: dict[str, Found | None] = {}
        self.keys = Keys(self.live, catalog, self._version)
        self.shapes = Keys(self.live, catalog, lambda _: None)
        self.schedule = Schedule(self.live, catalog, plan.order, Twins(self.keys, self.shapes), self._is_found)
        self.nodes: dict[str, object] = {}
        self.work: dict[str, _Work] = {}
        self.parked: set[str] = set()

    def events(self, keep_going: bool) -> Iterator[Event]:
        yield from self._cached(self.plan.order)
        self.schedule.start(self.plan.outputs)
        while (node_id := self._next()) is not None:
            failure = None
            try:
                if node_id not in self.work:
                    if self._is_found(node_id):
                        self._load(node_id)
                        continue
                    if self._asks_for_more(node_id):
                        continue
                    yield Started(*self._named(node_id))
                events = self._advance(node_id)
            except Upscale8KError as error:
                events = [failure := self._fail(node_id, error)]
            yield from events
            if failure is not None:
                _go_on_after(failure.error, keep_going)
        if circle := self.schedule.circle():
            yield (failure := self._fail(circle[0], self._circle_error(circle)))
            _go_on_after(failure.error, keep_going)

    def foreseen(self) -> tuple[list[str], list[str]]:
        needed: set[str] = set()
        pending = list(self.plan.outputs)
        while pending:
            node_id = pending.pop()
            if node_id not in needed:
                needed.add(node_id)
                pending += [] if self._is_found(node_id) else [edge.origin for edge in edges(self.live.get_node(node_id))]
        order = [node_id for node_id in self.plan.order if node_id in needed]
        found = [node_id for node_id in order if self._is_found(node_id)]
        return [node_id for node_id in order if node_id not in found], found

    def close(self) -> None:
        self.tasks.close()
        self.work.clear()
        self.schedule.values.clear()
        self.found.clear()
        if self.cache is not None:
            self.cache.close()

    def _next(self) -> str | None:
        """The node to go on with. Tasks advance in between, and are waited for when nothing else can run."""
        if self.parked:
            self.tasks.turn()
            self._resume_parked()
        node_id = self.schedule.next()
        while node_id is None and self.parked:
            with self._named_errors(min(self.parked)):
                self.tasks.wait(task for parked in self.parked for task in unfinished(self.work[parked].answers))
            self._resume_parked()
            node_id = self.schedule.next()
        return node_id

    def _resume_parked(self) -> None:
        for node_id in [node_id for node_id in self.parked if not unfinished(self.work[node_id].answers)]:
            self.parked.remove(node_id)
            self.schedule.resume(node_id)

    # ------------------------------------------------------------------ one node

    def _asks_for_more(self, node_id: str) -> bool:
        """Ask ``check_lazy_status`` which inputs it needs; True when some must be made first."""
        node = self._node(node_id)
        check = getattr(node, "check_lazy_status", None)
        if check is None:
            return False
        missing = {edge.name for edge in self.schedule.links(node_id) if not self.schedule.is_evaluated(node_id, edge)}
        with self._named_errors(node_id):
            inputs = self._inputs(node_id)
            answers = self.tasks.finish(self._called(node_id, check, inputs))
            lists = [cast("list[Any]", answer) for answer in answers if isinstance(answer, list)]
            asked = {str(name) for names in lists for name in names if name not in inputs or name in missing}
            if asked:
                self.schedule.ask(node_id, asked)
        return bool(asked)

    def _advance(self, node_id: str) -> list[Event]:
        """Call a node, or go on with one that was waiting. Returns no events while it has to wait."""
        with self._named_errors(node_id):
            if node_id not in self.work:
                self.work[node_id] = self._begin(node_id)
            work = self.work[node_id]
            if work.expanded:
                return self._finish(node_id, work, [self._filled_in(answer) for answer in work.expanded])
            if unfinished(work.answers):
                self.parked.add(node_id)
                return []
            answers = [take_apart(work.cls, settled(answer)) for answer in work.answers]
            if any(answer.expand is not None for answer in answers):
                work.answers.clear()
                work.expanded = [replace(answer, expand=answer.expand and {}) for answer in answers]
                return self._expand(node_id, answers)
            return self._finish(node_id, work, answers)

    def _begin(self, node_id: str) -> _Work:
        cls = self._class(node_id)
        begun = time.perf_counter()
        function = getattr(self._node(node_id), cast("str", cast("Any", cls).FUNCTION))
        work = _Work(cls, begun, self._called(node_id, function, self._inputs(node_id)))
        if unfinished(work.answers):
            self.tasks.turn()
        return work

    def _finish(self, node_id: str, work: _Work, answers: Sequence[Answer]) -> list[Event]:
        results = merge(work.cls, answers)
        named = self._named(node_id)
        self._leave(node_id)
        key = self.keys[node_id] if self.cache is not None else None
        if self.cache is not None and key is not None:
            results = self.cache.keep(key, work.cls, results)
        self.schedule.finish(node_id, results.slots)
        messages = [answer.blocked for answer in answers if answer.blocked is not None]
        echoes = self.schedule.echoes.pop(node_id, [])
        return [
            *(Blocked(*named, message) for message in messages),
            Finished(*named, time.perf_counter() - work.begun, results.ui),
            *(Cached(*self._named(echo), results.ui) for echo in echoes),
        ]

    def _load(self, node_id: str) -> None:
        """Use what an earlier run left behind, or run the node after all."""
        found = self.found[node_id]
        with self._named_errors(node_id):
            results = found.load() if found is not None else None
        if results is not None:
            self.schedule.finish(node_id, results.slots)
        else:
            self.found[node_id] = None
            self.schedule.revive(node_id)

    def _fail(self, node_id: str, error: Upscale8KError) -> Failed:
        error.node = error.node or self.live.label(node_id)
        lost = self.schedule.fail(node_id)
        for one in lost:
            self._leave(one)
        outputs = [output for output in self.plan.outputs if self.schedule.stands_for(output) in lost]
        real = self.live.get_real_node_id(node_id)
        return Failed(*self._named(real), error, tuple(outputs))

    def _leave(self, node_id: str) -> None:
        work = self.work.pop(node_id, None)
        for task in unfinished(work.answers) if work else ():
            task.cancel()
        self.nodes.pop(node_id, None)
        self.parked.discard(node_id)

    # ------------------------------------------------------------------ expansion

    def _expand(self, node_id: str, answers: Sequence[Answer]) -> list[Event]:
        """Let the nodes of an expansion join. The node goes on when the results that it passes on are there."""
        added: list[str] = []
        for answer in answers:
            for new_id, node in (answer.expand or {}).items():
                if self.schedule.has_joined(new_id) or new_id in self.plan.prompt:
                    raise NodeError(f"It added a second node {new_id}.", "This is a fault of the node.")
                self.live.add(new_id, node, node_id)
                self.keys.forget(new_id)
                self.shapes.forget(new_id)
                self.found.pop(new_id, None)
                added.append(new_id)
        outputs = [new_id for new_id in added if is_output(self.catalog.get(self.live.get_node(new_id)["class_type"], object))]
        links = [(link[0], int(link[1])) for answer in answers for link in _links(answer)]
        self.schedule.expand(node_id, links, outputs)
        return self._cached(outputs)

    def _filled_in(self, answer: Answer) -> Answer:
        """Put in all elements of the lists that a result links to, one after the other, as ComfyUI does."""
        if answer.expand is None:
            return answer
        result: list[Any] = []
        for value in answer.result or ():
            result += self.schedule.value(value[0], int(value[1])) if is_link(value) else [value]
        return Answer(result, answer.ui)

    def _circle_error(self, circle: Sequence[str]) -> Upscale8KError:
        path = " -> ".join(f"{node_id} ({self.live.get_node(node_id)['class_type']})" for node_id in circle)
        return WorkflowError(f"The nodes that it added wait for each other: {path}.", "This is a fault of the node.")

    # ------------------------------------------------------------------ what every step needs

    def _class(self, node_id: str) -> type:
        return self.catalog[self.live.get_node(node_id)["class_type"]]

    def _node(self, node_id: str) -> object:
        """The object of a node, which is made once."""
        lasting = self.cache.node(node_id, self._class(node_id)) if self.cache is not None else None
        if lasting is not None:
            return lasting
        if node_id not in self.nodes:
            with self._named_errors(node_id):
                self.nodes[node_id] = self._class(node_id)()
        return self.nodes[node_id]

    def _inputs(self, node_id: str) -> Inputs:
        return gather(node_id, self._class(node_id), self.live, self.extra_pnginfo, lambda edge: self._received(node_id, edge))

    def _received(self, node_id: str, edge: Edge) -> list[Any]:
        evaluated = self.schedule.is_evaluated(node_id, edge)
        return self.schedule.value(edge.origin, edge.slot) if evaluated else [None]

    def _called(self, node_id: str, function: Callable[..., Any], inputs: Inputs) -> list[Any]:
        as_lists = takes_lists(self._class(node_id))
        return call_each(function, inputs, self.tasks.start, as_lists=as_lists, node_id=node_id)

    def _version(self, node_id: str) -> Any:
        """What decides a node's result besides its inputs; NaN where that cannot be said: run it every time."""
        changed = self._changed(node_id)
        if self.cache is None:
            return changed
        literals = {name: value for name, value in self.live.get_node(node_id)["inputs"].items() if not is_link(value)}
        return self.cache.version(self._class(node_id), literals, changed)

    def _changed(self, node_id: str) -> Any:
        """What ``IS_CHANGED`` says of a node, which is given its literals only; NaN when it fails."""
        cls = self._class(node_id)
        function = getattr(cls, "IS_CHANGED", None)
        if function is None:
            return None
        try:
            inputs = gather(node_id, cls, self.live, None, not_linked)
            return self.tasks.finish(self._called(node_id, function, inputs))
        except Exception:
            return float("nan")

    def _is_found(self, node_id: str) -> bool:
        """Whether an earlier run left the results of a node behind. It is asked once, and stays so."""
        if self.cache is None:
            return False
        if node_id not in self.found:
            key = self.keys[node_id]
            self.found[node_id] = self.cache.find(key) if key is not None else None
        return self.found[node_id] is not None

    def _cached(self, node_ids: Sequence[str]) -> list[Event]:
        found = [(node_id, self.found[node_id]) for node_id in node_ids if self._is_found(node_id)]
        return [Cached(*self._named(node_id), dict(one.ui)) for node_id, one in found if one is not None]

    def _named(self, node_id: str) -> tuple[str, str, str | None, str]:
        class_type = self.live.get_node(node_id)["class_type"]
        return node_id, class_type, self.live.title(node_id), self.live.get_display_node_id(node_id)

    @contextmanager
    def _named_errors(self, node_id: str) -> Generator[None]:
        """The one edge at which foreign errors become ours."""
        label = self.live.label(node_id)
        try:
            yield
        except Upscale8KError as error:
            error.node = error.node or label
            raise
        except KeyboardInterrupt as error:
            stopped = Cancelled("Stopped.")
            stopped.node = label
            raise stopped from error
        except Exception as error:
            failed = NodeError(f"{type(error).__name__}: {error}".rstrip(".") + ".", "Run again with --traceback to see where.")
            failed.node = label
            raise failed from error


def _go_on_after(error: Upscale8KError, keep_going: bool) -> None:
    """Raise the error, or forget the values that its traceback holds: the event may be kept for long."""
    if not keep_going or isinstance(error, Cancelled):
        raise error
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__


def _links(answer: Answer) -> list[list[Any]]:
    """The results of an expansion that are links to what it added."""
    return [value for value in answer.result or () if is_link(value)] if answer.expand is not None else []
