"""Group nodes, which ComfyUI had before subgraphs: what the file says of them, and what each of them shows.

``extra.groupNodes`` holds the inner nodes and links of every kind of group node. What an instance shows is saved nowhere: its
inputs, widgets and outputs are those of the inner nodes that are not linked inside, named and ordered by the rules of
ComfyUI's ``groupNode.js``, the same in all frontends that had group nodes. The names matter because saved sockets are found
by them, the order because saved values are a bare list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from .canvas import Link, Node, read_nodes
from .specs import COMBO, InputSpec
from .widgets import WIDGET_TYPES, definition_specs, is_widget, widget_type

PREFIXES = ("workflow>", "workflow/")
PRIMITIVE, REROUTE = "PrimitiveNode", "Reroute"
_SEEDS = ("seed", "noise_seed")

Definitions = Mapping[str, Mapping[str, Any]]
End = tuple[str, int]
"""Inner node and slot."""


def group_name(class_id: str) -> str | None:
    """The kind of a group node, None for every other node: ``workflow>NAME``, before frontend 1.2 ``workflow/NAME``."""
    return class_id[len(PREFIXES[0]) :] if class_id.startswith(PREFIXES) else None


@dataclass(frozen=True)
class GroupNode:
    """One kind of group node as the file defines it. The ids of ``nodes`` are their places in the file."""

    name: str
    nodes: Mapping[str, Node]
    links: Sequence[Link]
    types: Mapping[str, str]
    """link id -> what it carries"""
    pipes: Mapping[str, str]
    """inner node -> what came into it from outside when the group was made"""
    external: Mapping[End, str]
    """inner outputs that were linked to the outside, with their types"""
    config: Mapping[str, Any]

    def into(self, node: Node) -> dict[int, Link]:
        return {link.target_slot: link for link in self.links if link.target == node.id}

    def out_of(self, node: Node) -> dict[int, list[Link]]:
        leaving: dict[int, list[Link]] = {}
        for link in self.links:
            if link.origin == node.id:
                leaving.setdefault(link.origin_slot, []).append(link)
        return leaving

    def setting(self, node: Node, side: str, name: object) -> Mapping[str, Any]:
        """What a person chose for one input or output in "Manage group nodes": ``name`` and ``visible``."""
        setting: Any = self.config
        for key in (node.id, side, str(name)):
            setting = setting.get(key) or {}
        return cast("Mapping[str, Any]", setting)


def read_group_nodes(ui: Mapping[str, Any]) -> dict[str, GroupNode]:
    """name -> definition. Raises ``WorkflowError`` for a damaged node in one."""
    extra: Any = ui.get("extra")
    found: Any = cast("dict[str, Any]", extra).get("groupNodes") if isinstance(extra, dict) else None
    kinds = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    return {name: _group_node(name, raw) for name, raw in kinds.items()}


def _group_node(name: str, raw: Mapping[str, Any]) -> GroupNode:
    numbered = [{**node, "id": place} for place, node in enumerate(raw["nodes"])]
    nodes = {node.id: node for node in read_nodes(numbered)}
    links: list[Link] = []
    types: dict[str, str] = {}
    pipes: dict[str, str] = {}
    for place, link in enumerate(raw.get("links") or ()):
        kind = str(link[5]) if len(link) > 5 and link[5] is not None else "*"
        if None in link[:4]:
            pipes.setdefault(str(link[2]), kind)
            continue
        links.append(Link(str(place), str(link[0]), int(link[1]), str(link[2]), int(link[3])))
        types[str(place)] = kind
    external = {(str(end[0]), int(end[1])): str(end[2]) for end in raw.get("external") or () if end[2] is not None}
    return GroupNode(name, nodes, links, types, pipes, external, raw.get("config") or {})


@dataclass
class Face:
    """What an instance shows, in the order in which ComfyUI builds it."""

    widgets: list[InputSpec] = field(default_factory=list[InputSpec])
    targets: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """name of a widget or socket of the group node -> (inner node, its input)"""
    sockets: dict[str, str] = field(default_factory=dict[str, str])
    """name of a socket -> its type"""
    outputs: list[tuple[str, int, str]] = field(default_factory=list[tuple[str, int, str]])
    """(inner node, slot, type)"""
    controlled: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """primitive -> the options of the widget that it feeds"""


def face_of(group: GroupNode, definitions: Definitions) -> Face:
    """What every instance of a kind of group node shows."""
    return _Builder(group, definitions).build()


class _Builder:
    def __init__(self, group: GroupNode, definitions: Definitions) -> None:
        self.group = group
        self.definitions = definitions
        self.face = Face()
        self._seen: dict[str, int] = {}

    def build(self) -> Face:
        converted: list[tuple[Node, int, list[InputSpec]]] = []
        for node in self.group.nodes.values():
            specs = self._specs(node)
            if specs is None:
                continue
            slots, late = self._add_widgets(node, specs)
            self._add_slots(node, slots)
            converted.append((node, len(slots), late))
            self._add_outputs(node)
        for node, first, late in converted:
            self._add_converted(node, first, late)
        self.face.widgets = [self._with_control(spec) for spec in self.face.widgets]
        return self.face

    def _specs(self, node: Node) -> list[InputSpec] | None:
        """The inputs of an inner node; None when it adds nothing to the face."""
        definition = self.definitions.get(node.type)
        if definition is not None:
            return sorted(definition_specs(definition), key=lambda spec: not spec.required)
        if node.type == PRIMITIVE:
            fed = next((links[0] for links in self.group.out_of(node).values()), None)
            return [self._primitive_spec(fed)] if fed else None
        if node.type == REROUTE and not self._is_inside(node):
            kind = self._reroute_type(node)
            return [InputSpec(kind, kind, {"forceInput": True})]
        return None

    def _primitive_spec(self, fed: Link) -> InputSpec:
        kind = self.group.types[fed.id]
        target = self._target_spec(fed) if kind == COMBO else None
        return replace(target, name="value", required=True) if target else InputSpec("value", kind, {})

    def _target_spec(self, link: Link) -> InputSpec | None:
        node = self.group.nodes.get(link.target)
        name = input_name(node, link.target_slot) if node else None
        definition = self.definitions.get(node.type) if node else None
        return next((spec for spec in definition_specs(definition) if spec.name == name), None) if definition else None

    def _is_inside(self, reroute: Node) -> bool:
        linked = self.group.into(reroute) and self.group.out_of(reroute)
        return bool(linked) and (reroute.id, 0) not in self.group.external

    def _reroute_type(self, node: Node) -> str:
        into, out_of = self.group.into(node), self.group.out_of(node)
        if out_of:
            types = [self._input_type(link) for link in out_of.get(0, ())]
            return next((kind for kind in types if kind != "*"), "*")
        if 0 in into:
            origin = self.group.nodes.get(into[0].origin)
            types = origin.output_types if origin else ()
            return types[into[0].origin_slot] if into[0].origin_slot < len(types) else "*"
        return self.group.pipes.get(node.id) or self.group.external.get((node.id, 0), "*")

    def _input_type(self, link: Link) -> str:
        inputs = self.group.nodes[link.target].inputs if link.target in self.group.nodes else ()
        return inputs[link.target_slot].type if link.target_slot < len(inputs) else "*"

    # ------------------------------------------------------------------ inputs

    def _add_widgets(self, node: Node, specs: Sequence[InputSpec]) -> tuple[list[InputSpec], list[InputSpec]]:
        """Add the plain widgets. Returns the inputs that are none, and the widgets that have a socket, which come later."""
        slots: list[InputSpec] = []
        converted: dict[int, InputSpec] = {}
        linked = {input_name(node, slot) for slot in self.group.into(node)}
        for spec in specs:
            if widget_type(spec) not in WIDGET_TYPES:
                slots.append(spec)
                continue
            place = next((at for at, one in enumerate(node.inputs) if one.name == spec.name == one.widget), None)
            if place is not None:
                converted[place] = spec
                continue
            shown = self._named(node, spec)
            if is_widget(spec):
                self.face.widgets.append(shown)
                self.face.targets[shown.name] = node.id, spec.name
            elif _saved_name(node, spec) not in linked:
                self._add_socket(node, spec, shown.name)
        # JavaScript sorts numbers as text.
        return slots, [converted[place] for place in sorted(converted, key=str)]

    def _add_slots(self, node: Node, slots: Sequence[InputSpec]) -> None:
        linked = self.group.into(node)
        for place, spec in enumerate(slots):
            if place in linked:
                self._note_primitive(linked[place], spec)
                continue
            name = self._named(node, spec).name
            if self.group.setting(node, "input", spec.name).get("visible") is not False:
                self._add_socket(node, spec, name)

    def _add_converted(self, node: Node, first: int, converted: Sequence[InputSpec]) -> None:
        linked = self.group.into(node)
        for place, spec in enumerate(converted, first):
            if place in linked:
                self._note_primitive(linked[place], spec)
                continue
            shown = self._named(node, spec)
            self.face.widgets.append(shown)
            self._add_socket(node, spec, shown.name)

    def _add_socket(self, node: Node, spec: InputSpec, name: str) -> None:
        self.face.targets[name] = node.id, _saved_name(node, spec)
        self.face.sockets[name] = spec.type

    def _note_primitive(self, link: Link, spec: InputSpec) -> None:
        origin = self.group.nodes.get(link.origin)
        if origin is not None and origin.type == PRIMITIVE:
            self.face.controlled[origin.id] = spec.options

    def _with_control(self, spec: InputSpec) -> InputSpec:
        """A primitive that feeds a widget has a control slot, whatever the widget itself would have."""
        options = self.face.controlled.get(self.face.targets[spec.name][0])
        return spec if options is None else replace(spec, options={**options, **spec.options, "control_after_generate": True})

    def _named(self, node: Node, spec: InputSpec) -> InputSpec:
        """The input as the group node calls it: the first of a name keeps it, others are called after their node."""
        label = next((socket.label for socket in node.inputs if socket.name == spec.name), None)
        name = str(self.group.setting(node, "input", spec.name).get("name") or label or spec.name)
        key = name
        if (node.type == PRIMITIVE and node.title) or name in self._seen:
            prefix = f"{node.title if node.title is not None else node.type} "
            key = name = f"{prefix}{spec.name}"
            if name in self._seen:
                name = f"{prefix}{self._seen[name]} {spec.name}"
        self._seen[key] = self._seen.get(key, 1) + 1
        options = {**spec.options, "control_after_generate": True} if spec.name in _SEEDS else spec.options
        return InputSpec(name, spec.type, options)

    # ------------------------------------------------------------------ outputs

    def _add_outputs(self, node: Node) -> None:
        for slot, kind in enumerate(self._output_types(node)):
            hidden = slot in self.group.out_of(node) and (node.id, slot) not in self.group.external
            visible = self.group.setting(node, "output", slot).get("visible")
            if visible is True or (visible is None and not hidden):
                self.face.outputs.append((node.id, slot, kind))

    def _output_types(self, node: Node) -> list[str]:
        definition = self.definitions.get(node.type)
        if definition is not None:
            return [kind if isinstance(kind, str) else COMBO for kind in definition.get("output") or ()]
        return [spec.type for spec in self._specs(node) or ()]


def input_name(node: Node, slot: int) -> str | None:
    """The name of a saved input; None when there is none at this place."""
    return node.inputs[slot].name if 0 <= slot < len(node.inputs) else None


def _saved_name(node: Node, spec: InputSpec) -> str:
    """Group nodes call the input of a reroute by its type; the file has no name for it, or another."""
    return (input_name(node, 0) or "") if node.type == REROUTE else spec.name
