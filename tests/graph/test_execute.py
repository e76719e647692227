"""What ComfyUI's executor does with lists, blockers, hidden inputs and failures; and when results die."""

import gc
import weakref
from typing import Any, ClassVar

import pytest
from upscale8k.runtime.errors import Cancelled, MediaError, NodeError
from upscale8k.runtime.graph.check import check_prompt
from upscale8k.runtime.graph.execute.events import NodeBlocked, NodeFailed, NodeFinished, NodeStarted
from upscale8k.runtime.graph.execute.executor import execute_plan
from upscale8k.runtime.graph.execute.node_call import (
    ExecutionBlocker,
    Inputs,
    NodeResults,
    call_per_element,
    has_list_inputs,
    merge_call_results,
    parse_call_result,
)
from upscale8k.runtime.graph.execute.plan import make_plan

from .classes import NUMBERS, SHOW, Image, node, run, shown


def call_node(cls: Any, inputs: Inputs) -> NodeResults:
    """All calls of one node, as a run makes them."""
    answers = call_per_element(cls().run, inputs, lambda answer: answer, as_lists=has_list_inputs(cls), node_id="1")
    return merge_call_results(cls, [parse_call_result(cls, answer) for answer in answers])


def test_events_come_in_order_with_titles() -> None:
    prompt = {
        "1": {"class_type": "One", "inputs": {}, "_meta": {"title": "The one"}},
        "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}},
    }
    events = run(prompt, {"One": node(lambda: (1,)), "Show": SHOW})
    assert [(type(event), event.node_id, event.title) for event in events] == [
        (NodeStarted, "1", "The one"),
        (NodeFinished, "1", "The one"),
        (NodeStarted, "2", None),
        (NodeFinished, "2", None),
    ]
    assert shown(events) == {"1": {}, "2": {"seen": [1]}}


# ---------------------------------------------------------------------- lists


def test_a_node_is_called_for_each_element_and_short_lists_repeat_their_last() -> None:
    added = node(lambda a, b: (a + b,), required={"a": ("X",), "b": ("X",)})
    assert call_node(added, {"a": [1, 2, 3], "b": [10, 20]}).slots == [[11, 22, 23]]


def test_a_node_that_asks_for_lists_gets_them_whole() -> None:
    joined = node(lambda a, b: ((a, b),), INPUT_IS_LIST=True)
    assert call_node(joined, {"a": [1, 2], "b": [3]}).slots == [[([1, 2], [3])]]


def test_lists_on_an_output_are_joined_and_slots_beyond_the_declaration_dropped() -> None:
    split = node(lambda a: ([a, -a], a, "dropped"), ("X", "X", "X"), OUTPUT_IS_LIST=(True, False))
    assert call_node(split, {"a": [1, 2]}).slots == [[1, -1, 2, -2], [1, 2]]


def test_no_inputs_and_only_empty_lists_are_one_call_without_arguments() -> None:
    assert call_node(node(lambda **kwargs: (kwargs,)), {}).slots == [[{}]]
    assert call_node(node(lambda **kwargs: (kwargs,)), {"a": []}).slots == [[{}]]


def test_an_empty_list_beside_a_full_one_is_an_error_that_names_it() -> None:
    with pytest.raises(NodeError, match="input b received an empty list"):
        call_node(node(lambda a, b: (a,)), {"a": [1], "b": []})


def test_the_ui_of_several_calls_is_joined() -> None:
    node_class = node(lambda a: {"ui": {"images": [a], "animated": (True,)}, "result": (a,)})
    results = call_node(node_class, {"a": [1, 2]})
    assert results.ui == {"images": [1, 2], "animated": [True, True]}
    assert results.slots == [[1, 2]]


@pytest.mark.parametrize("answer", [None, 5, "text", {"result": None}])
def test_an_answer_of_no_known_form_is_a_fault_of_the_node(answer: Any) -> None:
    with pytest.raises(NodeError, match="instead of a tuple"):
        call_node(node(lambda: answer), {})


# ---------------------------------------------------------------------- blockers


def test_a_blocker_stops_one_element_and_what_depends_on_it() -> None:
    odd = node(lambda n: (n if n % 2 else ExecutionBlocker("even"),))
    prompt = {
        "1": {"class_type": "Numbers", "inputs": {}},
        "2": {"class_type": "Odd", "inputs": {"n": ["1", 0]}},
        "3": {"class_type": "Show", "inputs": {"value": ["2", 0]}},
    }
    events = run(prompt, {"Numbers": NUMBERS, "Odd": odd, "Show": SHOW})
    assert shown(events)["3"] == {"seen": [1, 3]}
    assert [(event.node_id, event.message) for event in events if isinstance(event, NodeBlocked)] == [("3", "even")]


def test_a_blocked_node_blocks_its_own_readers_in_silence() -> None:
    prompt = {
        "1": {"class_type": "Block", "inputs": {}},
        "2": {"class_type": "Pass", "inputs": {"value": ["1", 1]}},
        "3": {"class_type": "Show", "inputs": {"value": ["2", 0]}},
    }
    catalog = {"Block": node(lambda: ExecutionBlocker("stop"), ("X", "X")), "Pass": node(lambda value: (value,)), "Show": SHOW}
    events = run(prompt, catalog)
    assert [event.node_id for event in events if isinstance(event, NodeBlocked)] == ["2"]
    assert shown(events)["3"] == {}


def test_one_blocker_in_a_list_blocks_a_node_that_takes_lists() -> None:
    listed = node(lambda a: (a,), INPUT_IS_LIST=True)
    assert call_node(listed, {"a": [1, ExecutionBlocker("no")]}).slots == [[ExecutionBlocker(None)]]


def test_a_blocker_on_a_list_output_is_one_element() -> None:
    listed = node(lambda a: ([a, a] if a else ExecutionBlocker(),), OUTPUT_IS_LIST=(True,))
    assert call_node(listed, {"a": [1, 0]}).slots == [[1, 1, ExecutionBlocker(None)]]


# ---------------------------------------------------------------------- what a node is given


def test_undeclared_links_are_passed_undeclared_constants_are_not() -> None:
    prompt = {
        "1": {"class_type": "One", "inputs": {}},
        "2": {"class_type": "Show", "inputs": {"value": 5, "stray": 6, "more": ["1", 0], "raw": ["1", 0]}},
    }
    show = node(
        lambda **kwargs: {"ui": {"seen": [kwargs]}}, (), {"value": ("INT",), "raw": ("*", {"rawLink": True})}, OUTPUT_NODE=True
    )
    events = run(prompt, {"One": node(lambda: (1,)), "Show": show})
    assert shown(events)["2"] == {"seen": [{"value": 5, "more": 1, "raw": ["1", 0]}]}


def test_a_literal_list_is_never_taken_for_a_link() -> None:
    prompt = {"1": {"class_type": "Show", "inputs": {"value": {"__value__": ["1", 0]}}}}
    checked = check_prompt(prompt, {"Show": SHOW})
    assert checked.problems == []
    assert shown(run(checked.prompt, {"Show": SHOW}))["1"] == {"seen": [["1", 0]]}


def test_a_slot_that_the_node_did_not_fill_arrives_as_none() -> None:
    prompt = {"1": {"class_type": "One", "inputs": {}}, "2": {"class_type": "Show", "inputs": {"value": ["1", 1]}}}
    assert shown(run(prompt, {"One": node(lambda: (1,), ("X", "X")), "Show": SHOW}))["2"] == {"seen": [None]}


def test_hidden_inputs_are_filled_under_any_name() -> None:
    hidden = {"p": "PROMPT", "e": "EXTRA_PNGINFO", "me": "UNIQUE_ID", "d": "DYNPROMPT", "key": "API_KEY_COMFY_ORG"}
    prompt = {"7": {"class_type": "H", "inputs": {}}}
    show = node(lambda **kwargs: {"ui": {"seen": [kwargs]}}, (), hidden=hidden, OUTPUT_NODE=True)
    (seen,) = shown(run(prompt, {"H": show}, extra_pnginfo={"workflow": {"nodes": []}}))["7"]["seen"]
    assert (seen["p"], seen["e"], seen["me"], seen["key"]) == (prompt, {"workflow": {"nodes": []}}, "7", None)
    view = seen["d"]
    assert (view.get_node("7"), view.has_node("8"), view.all_node_ids(), view.get_original_prompt()) == (
        prompt["7"],
        False,
        {"7"},
        prompt,
    )


# ---------------------------------------------------------------------- failures


def failing(error: BaseException) -> tuple[dict[str, Any], dict[str, type]]:
    def fail() -> None:
        raise error

    return {"4": {"class_type": "Bad", "inputs": {}, "_meta": {"title": "Mine"}}}, {"Bad": node(fail, OUTPUT_NODE=True)}


def test_an_error_of_ours_passes_through_with_the_nodes_name() -> None:
    error = MediaError("x.png is not here.", "Copy it.")
    with pytest.raises(MediaError) as caught:
        run(*failing(error))
    assert caught.value is error
    assert str(error) == 'node 4 (Bad "Mine"): x.png is not here. Copy it.'


def test_a_foreign_error_becomes_ours_with_its_cause() -> None:
    error = ZeroDivisionError("by zero")
    with pytest.raises(NodeError, match=r'node 4 \(Bad "Mine"\): ZeroDivisionError: by zero') as caught:
        run(*failing(error))
    assert caught.value.__cause__ is error


def test_ctrl_c_is_a_cancellation() -> None:
    with pytest.raises(Cancelled) as caught:
        run(*failing(KeyboardInterrupt()))
    assert caught.value.exit_code == 130


def test_nothing_runs_after_the_first_failure() -> None:
    prompt, catalog = failing(ValueError("x"))
    prompt["9"] = {"class_type": "Show", "inputs": {"value": 1}}
    events = execute_plan(make_plan(prompt, catalog | {"Show": SHOW}), catalog | {"Show": SHOW})
    assert [type(next(events)) for _ in range(2)] == [NodeStarted, NodeFailed]
    with pytest.raises(NodeError):
        next(events)
    assert list(events) == []


def test_with_keep_going_a_failure_costs_only_what_depends_on_it() -> None:
    prompt, catalog = failing(MediaError("x.png is not here."))
    catalog = {"Bad": node(catalog["Bad"]().run), "Pass": node(lambda value: (value,)), "Show": SHOW}
    prompt |= {
        "5": {"class_type": "Pass", "inputs": {"value": ["4", 0]}},
        "6": {"class_type": "Show", "inputs": {"value": ["5", 0]}},
        "9": {"class_type": "Show", "inputs": {"value": 1}},
    }
    events = run(prompt, catalog, keep_going=True)
    (failed,) = [event for event in events if isinstance(event, NodeFailed)]
    assert (failed.node_id, failed.lost_outputs, type(failed.error)) == ("4", ("6",), MediaError)
    assert shown(events) == {"9": {"seen": [1]}}


def test_a_class_that_cannot_declare_its_inputs_is_named() -> None:
    def input_types(cls: type) -> None:
        raise FileNotFoundError("fonts")

    broken = node(lambda: (), OUTPUT_NODE=True, INPUT_TYPES=classmethod(input_types))
    with pytest.raises(NodeError, match="INPUT_TYPES of the node class Node failed with FileNotFoundError: fonts"):
        run({"1": {"class_type": "Broken", "inputs": {}}}, {"Broken": broken})


def test_with_keep_going_ctrl_c_still_stops() -> None:
    with pytest.raises(Cancelled):
        run(*failing(KeyboardInterrupt()), keep_going=True)


def test_an_event_of_a_failure_holds_no_values() -> None:
    def fail(image: Image) -> None:
        held.append(weakref.ref(image))
        raise ValueError("too dark")

    held: list[weakref.ref[Image]] = []
    prompt = {"1": {"class_type": "Make", "inputs": {}}, "2": {"class_type": "Fail", "inputs": {"image": ["1", 0]}}}
    events = run(prompt, {"Make": node(lambda: (Image(),)), "Fail": node(fail, OUTPUT_NODE=True)}, keep_going=True)
    gc.collect()
    assert [type(event) for event in events] == [NodeStarted, NodeFinished, NodeStarted, NodeFailed]
    assert held[0]() is None


# ---------------------------------------------------------------------- memory


class Chain:
    """Makes a new image from the last, and counts the images that are alive when it starts."""

    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "run"
    born: ClassVar[list[weakref.ref[Image]]] = []
    alive: ClassVar[list[int]] = []

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {}, "optional": {"image": ("IMAGE",)}}

    def run(self, image: Image | None = None) -> tuple[Image, Image]:
        del image
        self.alive.append(sum(ref() is not None for ref in self.born))
        images = (Image(), Image())
        self.born.extend(map(weakref.ref, images))
        return images


class Sink(Chain):
    OUTPUT_NODE = True


def test_a_result_dies_after_its_last_reader_and_an_unread_one_at_once() -> None:
    Chain.born.clear()
    Chain.alive.clear()
    prompt = {
        str(n): {"class_type": "Sink" if n == 5 else "Chain", "inputs": {"image": [str(n - 1), 0]} if n > 1 else {}}
        for n in range(1, 6)
    }
    catalog = {"Chain": Chain, "Sink": Sink}
    gc.disable()  # reference counts alone must do it
    try:
        for event in execute_plan(make_plan(prompt, catalog), catalog):
            if isinstance(event, NodeStarted) and event.node_id == "4":
                assert [ref() is not None for ref in Chain.born] == [False, False, False, False, True, False]
        assert Chain.alive == [0, 1, 1, 1, 1]
        assert not any(ref() for ref in Chain.born)
    finally:
        gc.enable()


def test_closing_a_run_in_the_middle_releases_everything() -> None:
    Chain.born.clear()
    catalog = {"Chain": Chain, "Sink": Sink}
    events = execute_plan(
        make_plan(
            {"1": {"class_type": "Chain", "inputs": {}}, "2": {"class_type": "Sink", "inputs": {"image": ["1", 0]}}}, catalog
        ),
        catalog,
    )
    assert [type(next(events)) for _ in range(2)] == [NodeStarted, NodeFinished]
    assert Chain.born[0]() is not None
    events.close()  # type: ignore[attr-defined]
    assert not any(ref() for ref in Chain.born)
