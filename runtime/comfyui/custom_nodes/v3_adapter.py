"""Convert node classes of ComfyUI's V3 API to the V1 contract of the executor."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

from ...errors import NODE_BUG_HINT, NodeError
from ...graph import ExecutionBlocker
from .stubs.comfy_api.latest import io

V3_BASE = io.ComfyNode


def convert_to_v1(cls: type[io.ComfyNode]) -> type:
    """Return a V1 class for a V3 class. ``INPUT_TYPES`` reads the schema anew every time, because combo boxes list files."""
    schema = cls.define_schema()
    body: dict[str, Any] = {
        "INPUT_TYPES": classmethod(lambda _: _build_input_types(cls.define_schema())),
        "RETURN_TYPES": tuple(output.io_type for output in schema.outputs),
        "RETURN_NAMES": tuple(output.display_name or output.io_type for output in schema.outputs),
        "OUTPUT_IS_LIST": tuple(output.is_output_list for output in schema.outputs),
        "OUTPUT_TOOLTIPS": tuple(output.tooltip for output in schema.outputs),
        "INPUT_IS_LIST": schema.is_input_list,
        "OUTPUT_NODE": schema.is_output_node,
        "ACCEPT_ALL_INPUTS": schema.accept_all_inputs,
        "OUTPUT_MATCHTYPES": tuple(
            getattr(getattr(output, "template", None), "template_id", None) for output in schema.outputs
        ),
        "NOT_IDEMPOTENT": schema.not_idempotent,
        "CATEGORY": schema.category,
        "DESCRIPTION": schema.description,
        "DEPRECATED": schema.is_deprecated,
        "EXPERIMENTAL": schema.is_experimental,
        "DEV_ONLY": schema.is_dev_only,
        "HAS_INTERMEDIATE_OUTPUT": schema.has_intermediate_output,
        "SEARCH_ALIASES": schema.search_aliases,
        "FUNCTION": "run_v3",
        "run_v3": _make_run_function(cls),
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
    }
    if _is_overridden(cls, "validate_inputs"):
        body["VALIDATE_INPUTS"] = cls.validate_inputs
    if _is_overridden(cls, "fingerprint_inputs"):
        body["IS_CHANGED"] = staticmethod(_drop_hidden_inputs(cls, cls.fingerprint_inputs))
    if _is_overridden(cls, "check_lazy_status"):
        body["check_lazy_status"] = staticmethod(_drop_hidden_inputs(cls, cls.check_lazy_status))
    return type(cls.__name__, (), body)


def _is_overridden(cls: type[io.ComfyNode], name: str) -> bool:
    return getattr(cls, name).__func__ is not getattr(io.ComfyNode, name).__func__


def _build_input_types(schema: io.Schema) -> dict[str, Any]:
    groups: dict[str, Any] = {"required": {}, "optional": {}}
    for one in schema.inputs:
        if isinstance(one, io.DynamicSlot.Input):
            groups["optional"] |= one.list_v1_declarations()
        else:
            groups["optional" if one.optional else "required"][one.id] = one.to_v1_declaration()
    hidden = {one.name: one.value for one in schema.list_hidden()}
    return {name: group for name, group in {**groups, "hidden": hidden}.items() if group}


def _make_run_function(cls: type[io.ComfyNode]) -> Any:
    """Return the function that calls a V3 node with its hidden and nested inputs and converts its result."""

    def prepare_call(inputs: dict[str, Any]) -> tuple[type[io.ComfyNode], dict[str, Any]]:
        schema = cls.define_schema()
        names = {one.name for one in schema.list_hidden()}
        hidden = {name: inputs.pop(name) for name in names & set(inputs)}
        call = cast("type[io.ComfyNode]", type(cls.__name__, (cls,), {"hidden": io.HiddenHolder(hidden)}))
        return call, _nest_inputs(schema.inputs, inputs)

    def run(self: object, **inputs: Any) -> Any:
        call, nested = prepare_call(inputs)
        return _convert_result(cls, call.execute(**nested))

    async def run_async(self: object, **inputs: Any) -> Any:
        call, nested = prepare_call(inputs)
        return _convert_result(cls, await call.execute(**nested))

    return run_async if inspect.iscoroutinefunction(cls.execute) else run


def _drop_hidden_inputs(cls: type[io.ComfyNode], function: Callable[..., Any]) -> Callable[..., Any]:
    def call(**inputs: Any) -> Any:
        names = {one.name for one in cls.define_schema().list_hidden()}
        return function(**{name: value for name, value in inputs.items() if name not in names})

    return call


def _nest_inputs(declared: list[io.AnyInput], values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert ``codec.crf`` of a dynamic input ``codec`` to ``{"codec": {"codec": key, "crf": ...}}``."""
    groups = {one.id for one in declared if isinstance(one, io.DynamicCombo.Input | io.DynamicSlot.Input | io.Autogrow.Input)}
    nested: dict[str, Any] = {one.id: {} for one in declared if isinstance(one, io.Autogrow.Input)}
    for name, value in values.items():
        path = name.split(".")
        if path[0] not in groups:
            nested[name] = value
            continue
        group = cast("dict[str, Any]", nested.setdefault(path[0], {}))
        for part in path[1:-1]:
            deeper = group.get(part)
            group[part] = deeper if isinstance(deeper, dict) else {} if deeper is None else {part: deeper}
            group = group[part]
        group[path[-1]] = value
    return nested


def _convert_result(cls: type[io.ComfyNode], answer: Any) -> Any:
    """Convert a result to a tuple, ``{"ui": ..., "result": ..., "expand": ...}`` or a blocker."""
    if answer is None:
        answer = io.NodeOutput()
    if isinstance(answer, tuple | dict | ExecutionBlocker):
        return cast("Any", answer)
    if not isinstance(answer, io.NodeOutput):
        what = f"It returned {type(answer).__name__} instead of a NodeOutput."
        raise NodeError(what, NODE_BUG_HINT)
    if answer.block_execution is not None:
        return ExecutionBlocker(answer.block_execution)
    fields: dict[str, Any] = {}
    if answer.ui is not None:
        fields["ui"] = answer.ui.as_dict() if hasattr(answer.ui, "as_dict") else answer.ui
    if answer.expand is not None:
        if not cls.define_schema().enable_expand:
            raise NodeError("It adds nodes, but its schema does not set enable_expand.", NODE_BUG_HINT)
        fields["expand"] = answer.expand
    if answer.args or not fields:
        fields["result"] = answer.args
    return fields
