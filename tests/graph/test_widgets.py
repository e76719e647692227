"""Saved lists of values, written as the frontend writes them for any definition, must come back by name."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from upscale8k.runtime.graph.convert.widgets import read_widgets

VALUES = {
    "INT": st.integers(-(2**53), 2**64),
    "FLOAT": st.floats(allow_nan=False, allow_infinity=False),
    "STRING": st.text('ab \n%é"', max_size=8),
    "BOOLEAN": st.booleans(),
}
CONTROL = st.sampled_from(["fixed", "increment", "decrement", "randomize"])


@st.composite
def saved_nodes(draw: st.DrawFn) -> tuple[dict[str, Any], list[Any], dict[str, Any]]:
    """(definition, the list that the frontend would save, name -> value)"""
    required: dict[str, Any] = {}
    saved: list[Any] = []
    values: dict[str, Any] = {}

    def add(group: dict[str, Any], prefix: str, name: str, depth: int) -> None:
        kind = draw(st.sampled_from([*VALUES, "COMBO", "SOCKET", "FORCED", "SEED", *(["DYNAMIC"] if depth < 2 else [])]))
        full = prefix + name
        if kind == "SOCKET":
            group[name] = ["IMAGE", {}]
        elif kind == "FORCED":
            group[name] = ["INT", {"forceInput": True}]
        elif kind == "SEED":
            group[name] = ["INT", {"control_after_generate": True}]
            values[full] = draw(VALUES["INT"])
            saved.extend([values[full], draw(CONTROL)])
        elif kind == "COMBO":
            group[name] = draw(st.sampled_from([[["x", "y"]], ["COMBO", {"options": ["x", "y"]}]]))
            values[full] = draw(st.sampled_from(["x", "y"]))
            saved.append(values[full])
        elif kind == "DYNAMIC":
            values[full] = draw(st.sampled_from(["k0", "k1"]))
            saved.append(values[full])
            inner: dict[str, Any] = {}
            for index in range(draw(st.integers(0, 3))):
                add(inner, f"{full}.", f"c{index}", depth + 1)
            options = [{"key": key, "inputs": {"required": inner if key == values[full] else {}}} for key in ("k0", "k1")]
            group[name] = ["COMFY_DYNAMICCOMBO_V3", {"options": options}]
        else:
            group[name] = [kind, {}]
            values[full] = draw(VALUES[kind])
            saved.append(values[full])

    for index in range(draw(st.integers(0, 6))):
        add(required, "", f"i{index}", 0)
    if draw(st.booleans()):
        required["file"] = [["a.png"], {"image_upload": True}]
        values["file"] = "a.png"
        saved.extend(["a.png", "image"])
    return {"input": {"required": required}, "output": []}, saved, values


@given(saved_nodes())
def test_every_list_that_the_frontend_saves_is_read_back(node: tuple[dict[str, Any], list[Any], dict[str, Any]]) -> None:
    definition, saved, values = node
    forced = [spec for spec in definition["input"]["required"].values() if spec[1:] == [{"forceInput": True}]]
    if forced:  # the frontend itself confuses such a list with an old one when the lengths agree by accident
        saved = [*saved, *[None] * 50]
    read = read_widgets("Any", definition, saved)
    assert {name: value for name, value in read.values.items() if name != "upload"} == values
    assert read.mismatch == ""


@given(saved_nodes())
def test_a_dict_of_values_is_read_back_in_the_same_way(node: tuple[dict[str, Any], list[Any], dict[str, Any]]) -> None:
    definition, _, values = node
    read = read_widgets("Any", definition, values)
    assert {name: value for name, value in read.values.items() if name != "upload"} == values
