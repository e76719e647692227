"""Rebuild the inputs of a node as the canvas does on loading. Bypassing searches them in this order.

First the sockets without a widget, in the order of the definition, then those with one, then sockets of the file that the
definition lacks. Saved sockets are found by name; type and widget come from the definition.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..specs import AUTOGROW, DYNAMIC_COMBO, MATCH_TYPE, InputSpec, get_dynamic_children, parse_autogrow
from .ui_workflow import InputSocket, UiNode
from .widgets import get_definition_specs, get_widget_type, is_widget


def build_sockets(node: UiNode, definition: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[InputSocket, ...]:
    """Return the sockets of a node; ``values`` holds the choices of its dynamic combo boxes, which decide its sockets."""
    saved = {socket.name: socket for socket in node.inputs}
    specs = get_definition_specs(definition)
    declared = [
        *_declare_sockets([spec for spec in specs if not is_widget(spec)], values, node.inputs),
        *_declare_sockets([spec for spec in specs if is_widget(spec)], values, node.inputs),
    ]
    linked = [replace(socket, link=saved[socket.name].link if socket.name in saved else None) for socket in declared]
    names = {socket.name for socket in linked}
    # The saved socket of a widget that no longer exists is dropped with its link.
    return (
        *linked,
        *(socket for socket in node.inputs if socket.name not in names and (not socket.widget or socket.widget in values)),
    )


def _declare_sockets(
    specs: Sequence[InputSpec], values: Mapping[str, Any], saved: Sequence[InputSocket]
) -> Iterator[InputSocket]:
    for spec in specs:
        if spec.type == AUTOGROW:
            yield from _grow_sockets(spec, saved)
        elif not is_widget(spec):
            yield InputSocket(spec.name, _get_accepted_types(spec), template=_get_template_id(spec))
        else:
            if not spec.options.get("socketless"):
                yield InputSocket(spec.name, spec.type, widget=spec.name)
            if get_widget_type(spec) == DYNAMIC_COMBO:
                yield from _declare_sockets(get_dynamic_children(spec, values.get(spec.name)), values, saved)


def _get_accepted_types(spec: InputSpec) -> str:
    template = spec.options.get("template") if spec.type == MATCH_TYPE else None
    return str(template.get("allowed_types", "*")) if template else spec.type


def _get_template_id(spec: InputSpec) -> str:
    template = spec.options.get("template") if spec.type == MATCH_TYPE else None
    return str(template.get("template_id", "")) if template else ""


def connect_broadcasts(sockets: tuple[InputSocket, ...], links_by_slot: Mapping[int, str]) -> tuple[InputSocket, ...]:
    """Return the sockets with the links of cg-use-everywhere, which leaves linked inputs alone."""
    return tuple(
        replace(socket, link=links_by_slot[slot]) if socket.link is None and slot in links_by_slot else socket
        for slot, socket in enumerate(sockets)
    )


def _grow_sockets(spec: InputSpec, saved: Sequence[InputSocket]) -> Iterator[InputSocket]:
    """Yield the sockets of a growing group: one step more than is connected, and at least one more than required."""
    group = parse_autogrow(spec)
    linked = [socket.name for socket in saved if socket.link and socket.name.startswith(f"{spec.name}.")]
    steps = [[child.name for child in group.get_inputs_at(ordinal)] for ordinal in range(len(group.names))]
    last = max((ordinal for ordinal, names in enumerate(steps) if set(names) & set(linked)), default=-1)
    for ordinal in range(max(last + 2, group.min_steps + 1)):
        for child in group.get_inputs_at(ordinal):
            widget = child.name if is_widget(child) else None
            yield InputSocket(child.name, _get_accepted_types(child), widget=widget, template=_get_template_id(child))


def find_bypass_slot(inputs: Sequence[InputSocket], output_type: str, slot: int, reader_type: str) -> int | None:
    """Return the input that a bypassed node passes on as output ``slot`` to a reader of ``reader_type``; None if none fits.

    It is the input at the same position if it fits both types, else the first of exactly the reader's type, else the first
    that fits both. A reader of any type gets the same position, or the first.
    """
    if reader_type in ("*", ""):
        return (slot if slot < len(inputs) else 0) if inputs else None
    fits = [can_connect(socket.type, output_type) and can_connect(socket.type, reader_type) for socket in inputs]
    if slot < len(fits) and fits[slot]:
        return slot
    exact = [index for index, socket in enumerate(inputs) if socket.type == reader_type]
    return next(iter([*exact, *(index for index, fit in enumerate(fits) if fit)]), None)


def can_connect(first: str, second: str) -> bool:
    """Return whether the canvas lets two sockets be linked: any type, equal types, or lists that share one."""
    if first in ("*", "", "0") or second in ("*", "", "0"):
        return True
    return any("*" in (one, other) or one == other for one in first.lower().split(",") for other in second.lower().split(","))
