"""ComfyUI's validation: the same kinds of error for the same mistakes, all of them at once."""

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from upscale8k.runtime.errors import MediaError
from upscale8k.runtime.graph.check import check_prompt, coerce_value, is_type_compatible


class Load:
    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": (["a.png", "b.png", "c.png", "d.png", "e.png"],),
                "count": ("INT", {"default": 1, "min": 1, "max": 8}),
                "scale": ("FLOAT", {"default": 1.0, "max": 4.0}),
            },
            "optional": {
                "flag": ("BOOLEAN", {}),
                "note": ("STRING", {}),
                "many": ("COMBO", {"options": ["x", "y"], "multiselect": True}),
            },
        }


class Save:
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"images": ("IMAGE",)}, "optional": {"codec": ("COMFY_DYNAMICCOMBO_V3", CODEC)}}


class Pass:
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image": ("IMAGE",)}}


class Judge:
    """Answers its own check with ``verdict`` and remembers what it was asked."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    verdict: ClassVar[Any] = True
    asked: ClassVar[list[Any]] = []

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image": ("IMAGE",), "level": ("FLOAT", {"max": 1.0})}, "hidden": {"me": "UNIQUE_ID"}}

    @classmethod
    def VALIDATE_INPUTS(cls, image: Any, level: Any) -> Any:
        cls.asked.append((image, level))
        if isinstance(cls.verdict, Exception):
            raise cls.verdict
        return cls.verdict


class TakesAll(Judge):
    @classmethod
    def VALIDATE_INPUTS(cls, **kwargs: Any) -> Any:
        cls.asked.append(kwargs)
        return True


class TakesTypes(Judge):
    @classmethod
    def VALIDATE_INPUTS(cls, level: Any, input_types: Any) -> Any:
        cls.asked.append(input_types)
        return True


CODEC = {
    "options": [
        {"key": "auto", "inputs": {"required": {}}},
        {"key": "h264", "inputs": {"required": {"crf": ("INT", {"min": 0, "max": 51})}}},
    ]
}
CATALOG: Mapping[str, type] = {cls.__name__: cls for cls in (Load, Save, Pass, Judge, TakesAll, TakesTypes)}
LOAD = {"image": "a.png", "count": 1, "scale": 1.0}


def prompt_of(**nodes: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {node_id[1:]: {"class_type": kind, "inputs": inputs} for node_id, (kind, inputs) in nodes.items()}


def found(prompt: Mapping[str, Any], **more: Any) -> list[tuple[str, str | None, str | None]]:
    return [(problem.kind, problem.node_id, problem.input_name) for problem in check_prompt(prompt, CATALOG, **more).problems]


def loaded(**inputs: Any) -> dict[str, Any]:
    return prompt_of(n1=("Load", LOAD | inputs), n2=("Save", {"images": ["1", 0]}))


def test_a_sound_prompt_has_no_problems() -> None:
    assert found(loaded()) == []


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"count": 0}, "value_smaller_than_min"),
        ({"count": 9}, "value_bigger_than_max"),
        ({"scale": 4.5}, "value_bigger_than_max"),
        ({"count": "many"}, "invalid_input_type"),
        ({"count": None}, "invalid_input_type"),
        ({"scale": "nan"}, "invalid_input_type"),
        ({"count": float("inf")}, "invalid_input_type"),
        ({"image": "z.png"}, "value_not_in_list"),
        ({"many": {"__value__": ["x", "q"]}}, "value_not_in_list"),
        ({"note": ["a", "b", "c"]}, "bad_linked_input"),
        ({"note": ["9", 0]}, "bad_linked_input"),
    ],
)
def test_a_wrong_value_is_named_as_comfyui_names_it(inputs: dict[str, Any], expected: str) -> None:
    ((kind, node_id, input_name),) = found(loaded(**inputs))
    assert (kind, node_id, input_name) == (expected, "1", next(iter(inputs)))


def test_a_link_to_an_output_that_is_not_there_is_named() -> None:
    (problem,) = check_prompt(prompt_of(n1=("Load", LOAD), n2=("Save", {"images": ["1", 2]})), CATALOG).problems
    assert (problem.kind, problem.input_name) == ("bad_linked_input", "images")
    assert "output 2 of node 1, which has 2" in problem.what


def test_missing_inputs_unions_and_mismatches_come_all_at_once() -> None:
    prompt = prompt_of(n1=("Load", {"image": "a.png"}), n2=("Pass", {"image": ["1", 1]}), n3=("Save", {"images": ["2", 0]}))
    assert set(found(prompt)) == {
        ("required_input_missing", "1", "count"),
        ("required_input_missing", "1", "scale"),
        ("return_type_mismatch", "2", "image"),
    }


def test_values_come_back_in_their_types_and_the_given_prompt_is_not_touched() -> None:
    prompt = loaded(count="3", scale=2, flag="false", note=5, many={"__value__": ["x"]})
    before = copy.deepcopy(prompt)
    checked = check_prompt(prompt, CATALOG)
    assert checked.problems == []
    values = checked.prompt["1"]["inputs"]
    assert values == {"image": "a.png", "count": 3, "scale": 2.0, "flag": True, "note": "5", "many": {"__value__": ["x"]}}
    assert isinstance(values["scale"], float)
    assert prompt == before


def test_coercion_is_pythons_own() -> None:
    assert (coerce_value("INT", 3.7), coerce_value("BOOLEAN", "false"), coerce_value("IMAGE,FLOAT", 5)) == (3, True, 5)


def test_an_unknown_class_is_reported_even_where_nothing_reaches_it() -> None:
    prompt = loaded() | prompt_of(n7=("Lod", {"x": 1}), n8=("Elsewhere", {}))
    checked = check_prompt(prompt, CATALOG, packs={"Elsewhere": "their-pack"})
    assert [(p.kind, p.node_id) for p in checked.problems] == [("missing_node_type", "7"), ("missing_node_type", "8")]
    assert "Did you mean 'Load'?" in str(checked.problems[0])
    assert "their-pack" in str(checked.problems[1])


def test_other_mistakes_of_nodes_that_no_output_needs_do_not_matter() -> None:
    assert found(loaded() | prompt_of(n7=("Load", {"count": 900}))) == []


def test_only_what_the_wanted_outputs_need_is_checked() -> None:
    prompt = loaded(image="z.png") | {"8": {"class_type": "Save", "inputs": {}}}
    assert {problem.node_id for problem in check_prompt(prompt, CATALOG).problems} > {"8"}
    assert {problem.node_id for problem in check_prompt(prompt, CATALOG, outputs=["8"]).problems} == {"8"}
    assert [problem.kind for problem in check_prompt(prompt, CATALOG, outputs=[]).problems] == ["prompt_no_outputs"]


def test_a_workflow_without_an_output_does_nothing() -> None:
    assert found(prompt_of(n1=("Load", LOAD))) == [("prompt_no_outputs", None, None)]
    assert found({}) == [("prompt_no_outputs", None, None)]


def test_a_cycle_is_named_by_its_path() -> None:
    prompt = prompt_of(n5=("Pass", {"image": ["7", 0]}), n7=("Pass", {"image": ["5", 0]}), n9=("Save", {"images": ["5", 0]}))
    (problem,) = check_prompt(prompt, CATALOG).problems
    assert problem.kind == "dependency_cycle"
    assert "5 (Pass) -> 7 (Pass) -> 5 (Pass)" in problem.what


def test_two_cycles_are_two_problems() -> None:
    prompt = prompt_of(
        n1=("Pass", {"image": ["1", 0]}),
        n2=("Pass", {"image": ["3", 0]}),
        n3=("Pass", {"image": ["2", 0]}),
        n8=("Save", {"images": ["1", 0]}),
        n9=("Save", {"images": ["3", 0]}),
    )
    assert [kind for kind, _, _ in found(prompt)] == ["dependency_cycle", "dependency_cycle"]


def test_a_choice_that_is_not_there_names_the_nearest_and_counts_the_others() -> None:
    (problem,) = check_prompt(loaded(image="b.pgn"), CATALOG).problems
    assert "'b.png'" in problem.hint
    assert "2 others" in problem.hint


def test_inputs_behind_a_choice_are_declared_by_it() -> None:
    def save(**inputs: Any) -> dict[str, Any]:
        return prompt_of(
            n1=("Load", LOAD), n2=("Save", {"images": ["1", 0]} | {name.replace("__", "."): v for name, v in inputs.items()})
        )

    assert found(save(codec="auto")) == []
    assert found(save(codec="h264", codec__crf=18)) == []
    assert found(save(codec="h264")) == [("required_input_missing", "2", "codec.crf")]
    assert found(save(codec="h264", codec__crf=99)) == [("value_bigger_than_max", "2", "codec.crf")]
    assert found(save(codec="av1")) == [("value_not_in_list", "2", "codec")]


@pytest.mark.parametrize(
    "prompt",
    [
        {"1": 5},
        {"1": {"class_type": "Load"}},
        {"1": {"inputs": {}, "class_type": None}},
        {"1": {"inputs": [], "class_type": "A"}},
    ],
)
def test_what_is_no_prompt_is_a_problem_and_no_crash(prompt: dict[str, Any]) -> None:
    assert [kind for kind, _, _ in found(prompt)] == ["invalid_prompt"]


# ---------------------------------------------------------------------- VALIDATE_INPUTS


def judged(kind: str, level: Any) -> dict[str, Any]:
    return prompt_of(n1=("Load", LOAD), n2=(kind, {"image": ["1", 0], "level": level}), n3=("Save", {"images": ["2", 0]}))


@pytest.fixture(autouse=True)
def _forget() -> None:
    Judge.verdict = True
    Judge.asked.clear()


def test_a_nodes_own_check_gets_values_and_none_for_links() -> None:
    assert found(judged("Judge", 0.5)) == []
    assert Judge.asked == [(None, 0.5)]


def test_inputs_that_the_node_checks_itself_are_not_checked_for_their_range() -> None:
    assert found(judged("Judge", 5.0)) == []
    assert found(judged("TakesAll", 5.0)) == []


def test_a_check_that_takes_everything_gets_hidden_inputs_too() -> None:
    assert found(judged("TakesAll", 1.0)) == []
    assert Judge.asked == [{"image": None, "level": 1.0, "me": "2"}]


def test_a_check_that_takes_types_replaces_the_check_of_types() -> None:
    prompt = judged("TakesTypes", 1.0)
    prompt["2"]["inputs"]["image"] = ["1", 1]
    assert found(prompt) == []
    assert Judge.asked == [{"image": "MASK"}]


def test_a_check_that_takes_nothing_but_types_is_asked_too() -> None:
    class OnlyTypes(Judge):
        @classmethod
        def VALIDATE_INPUTS(cls, input_types: Any) -> Any:
            return f"not {input_types['image']}"

    problems = check_prompt(judged("OnlyTypes", 1), CATALOG | {"OnlyTypes": OnlyTypes}).problems
    assert [problem.what for problem in problems] == ["not IMAGE"]


@pytest.mark.parametrize(
    ("verdict", "kind", "says"),
    [
        (False, "custom_validation_failed", "does not accept"),
        ("too bright", "custom_validation_failed", "too bright"),
        (MediaError("x.png is not here.", "Copy it."), "custom_validation_failed", "x.png is not here. Copy it."),
        (ZeroDivisionError("by zero"), "exception_during_validation", "ZeroDivisionError: by zero"),
    ],
)
def test_only_true_is_a_yes(verdict: Any, kind: str, says: str) -> None:
    Judge.verdict = verdict
    (problem,) = check_prompt(judged("Judge", 0.5), CATALOG).problems
    assert problem.kind == kind
    assert says in str(problem)


# ---------------------------------------------------------------------- types


class Anything(str):
    """How packs made a type for everything before ``*``."""

    __slots__ = ()

    def __ne__(self, other: object) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


@pytest.mark.parametrize(
    ("received", "wanted", "fits"),
    [  # the table of ComfyUI's validate_node_input_test.py
        ("IMAGE", "IMAGE", True),
        ("IMAGE", "*", True),
        ("*", "IMAGE", True),
        ("STRING", "STRING,INT", True),
        ("STRING,INT", "STRING", True),
        ("STRING,FLOAT", "STRING,INT", True),
        ("STRING , INT", "INT", True),
        ("INT", "FLOAT", False),
        ("STRING,BOOLEAN", "FLOAT,INT", False),
        (["a", "b"], "COMBO", True),
        (["a", "b"], "STRING", False),
        (Anything("*"), "IMAGE", True),
        ("IMAGE", Anything("x"), True),
        ("COMFY_MATCHTYPE_V3", "IMAGE", True),
    ],
)
def test_types_fit_as_in_comfyui(received: Any, wanted: Any, fits: bool) -> None:
    assert is_type_compatible(received, wanted) is fits
