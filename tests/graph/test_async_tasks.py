"""Async nodes: they overlap, fail by name, and leave nothing running."""

import asyncio
from typing import Any

import pytest
from upscale8k.runtime.errors import NodeError
from upscale8k.runtime.graph.execute.events import NodeFailed, NodeStarted
from upscale8k.runtime.graph.execute.executor import execute_plan
from upscale8k.runtime.graph.execute.plan import make_plan

from .classes import NUMBERS, SHOW, node, run, shown, started


def meeting(count: int) -> type:
    """Async nodes that end only when ``count`` of them run at the same time."""
    present: list[str] = []

    async def meet(name: str) -> tuple[str]:
        present.append(name)
        async with asyncio.timeout(20):
            while len(present) < count:
                await asyncio.sleep(0)
        return (name,)

    async def run_async(self: object, **inputs: Any) -> Any:
        return await meet(**inputs)

    return node(meet, required={"name": ("STRING",)}, run=run_async)


def test_async_nodes_run_at_the_same_time() -> None:
    prompt = {name: {"class_type": "Meet", "inputs": {"name": name}} for name in "abc"}
    prompt |= {f"show {name}": {"class_type": "Show", "inputs": {"value": [name, 0]}} for name in "abc"}
    events = run(prompt, {"Meet": meeting(3), "Show": SHOW})
    assert started(events)[:3] == ["a", "b", "c"]
    assert shown(events) | {"a": {}, "b": {}, "c": {}} == shown(events)
    assert [shown(events)[f"show {name}"] for name in "abc"] == [{"seen": ["a"]}, {"seen": ["b"]}, {"seen": ["c"]}]


def test_the_calls_of_one_async_node_run_at_the_same_time() -> None:
    prompt = {
        "1": {"class_type": "Numbers", "inputs": {}},
        "2": {"class_type": "Meet", "inputs": {"name": ["1", 0]}},
        "3": {"class_type": "Show", "inputs": {"value": ["2", 0]}},
    }
    assert shown(run(prompt, {"Numbers": NUMBERS, "Meet": meeting(3), "Show": SHOW}))["3"] == {"seen": [1, 2, 3]}


def test_a_node_that_is_not_async_may_run_a_loop_of_its_own() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 7

    prompt = {
        "1": {"class_type": "Meet", "inputs": {"name": "x"}},
        "2": {"class_type": "Loop", "inputs": {"value": ["1", 0]}},
        "3": {"class_type": "Show", "inputs": {"value": ["2", 0]}},
    }
    catalog = {"Meet": meeting(1), "Loop": node(lambda value: (asyncio.run(answer()),)), "Show": SHOW}
    assert shown(run(prompt, catalog))["3"] == {"seen": [7]}


def test_an_async_failure_names_its_node_and_the_others_clean_up() -> None:
    cleaned: list[str] = []

    async def fail(self: object) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("no answer")

    async def wait(self: object) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            cleaned.append("wait")

    prompt = {"1": {"class_type": "Wait", "inputs": {}}, "2": {"class_type": "Fail", "inputs": {}}}
    catalog = {"Wait": node(wait, run=wait, OUTPUT_NODE=True), "Fail": node(fail, run=fail, OUTPUT_NODE=True)}
    with pytest.raises(NodeError, match=r"node 2 \(Fail\): RuntimeError: no answer"):
        run(prompt, catalog)
    assert cleaned == ["wait"]


def test_closing_a_run_stops_its_async_nodes() -> None:
    stopped: list[bool] = []

    async def wait(self: object) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            stopped.append(True)

    def fail() -> None:
        raise ValueError("x")

    catalog = {"Wait": node(wait, run=wait, OUTPUT_NODE=True), "Fail": node(fail, OUTPUT_NODE=True)}
    prompt = {"1": {"class_type": "Wait", "inputs": {}}, "2": {"class_type": "Fail", "inputs": {}}}
    events = execute_plan(make_plan(prompt, catalog), catalog, keep_going=True)
    assert [type(next(events)) for _ in range(3)] == [NodeStarted, NodeStarted, NodeFailed]
    events.close()  # type: ignore[attr-defined]
    assert stopped == [True]


def test_check_lazy_status_and_is_changed_may_be_async() -> None:
    async def check_lazy_status(self: object, value: Any) -> list[str]:
        await asyncio.sleep(0)
        return ["value"]

    lazy = node(lambda value: (value,), required={"value": ("*", {"lazy": True})}, check_lazy_status=check_lazy_status)
    prompt = {
        "1": {"class_type": "One", "inputs": {}},
        "2": {"class_type": "Lazy", "inputs": {"value": ["1", 0]}},
        "3": {"class_type": "Show", "inputs": {"value": ["2", 0]}},
    }
    assert shown(run(prompt, {"One": node(lambda: (1,)), "Lazy": lazy, "Show": SHOW}))["3"] == {"seen": [1]}
