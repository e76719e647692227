"""Read group nodes, which ComfyUI had before subgraphs, and rebuild their interfaces.

``extra.groupNodes`` holds the inner nodes and links of every kind of group node. The interface of an instance is not saved:
its inputs, widgets and outputs are those of the inner nodes that are not linked inside, named and ordered by the rules of
ComfyUI's ``groupNode.js``, the same in all frontends that had group nodes. Saved sockets are found by these names, and saved
values, a bare list, by this order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from ..specs import COMBO, InputSpec
from .ui_workflow import PRIMITIVE, REROUTE, UiLink, UiNode, read_nodes
from .widgets import WIDGET_TYPES, get_definition_specs, get_widget_type, is_widget

PREFIXES = ("workflow>", "workflow/")
_SEEDS = ("seed", "noise_seed")

Definitions = Mapping[str, Mapping[str, Any]]
InnerSlot = tuple[str, int]
"""Inner node and slot."""


def get_group_name(class_id: str) -> str | None:
    """Return the NAME of a group node class ``workflow>NAME`` (``workflow/NAME`` before frontend 1.2), else None."""
    return class_id[len(PREFIXES[0]) :] if class_id.startswith(PREFIXES) else None


@dataclass(frozen=True)
class GroupNode:
    """One kind of group node as the file defines it. The ids of ``nodes`` are their positions in the file."""

    name: str
    nodes: Mapping[str, UiNode]
    links: Sequence[UiLink]
    link_types: Mapping[str, str]
    """link id -> its type"""
    outside_types: Mapping[str, str]
    """inner node -> the type of its link from outside when the group was made"""
    external_outputs: Mapping[InnerSlot, str]
    """inner outputs that were linked to the outside -> their types"""
    config: Mapping[str, Any]

    def get_incoming_links(self, node: UiNode) -> dict[int, UiLink]:
        return {link.target_slot: link for link in self.links if link.target == node.id}

    def get_outgoing_links(self, node: UiNode) -> dict[int, list[UiLink]]:
        outgoing: dict[int, list[UiLink]] = {}
        for link in self.links:
            if link.origin == node.id:
                outgoing.setdefault(link.origin_slot, []).append(link)
        return outgoing

    def get_setting(self, node: UiNode, side: str, name: object) -> Mapping[str, Any]:
        """Return ``name`` and ``visible`` of an input or output, as set in "Manage group nodes"."""
        setting: Any = self.config
        for key in (node.id, side, str(name)):
            setting = setting.get(key) or {}
        return cast("Mapping[str, Any]", setting)


def read_group_nodes(ui: Mapping[str, Any]) -> dict[str, GroupNode]:
    """Return group nodes by name. Raises ``WorkflowError`` for a damaged inner node."""
    extra: Any = ui.get("extra")
    raw_groups: Any = cast("dict[str, Any]", extra).get("groupNodes") if isinstance(extra, dict) else None
    kinds = cast("dict[str, Any]", raw_groups) if isinstance(raw_groups, dict) else {}
    return {name: _parse_group_node(name, raw) for name, raw in kinds.items()}


def _parse_group_node(name: str, raw: Mapping[str, Any]) -> GroupNode:
    numbered = [{**node, "id": position} for position, node in enumerate(raw["nodes"])]
    nodes = {node.id: node for node in read_nodes(numbered)}
    links: list[UiLink] = []
    link_types: dict[str, str] = {}
    outside_types: dict[str, str] = {}
    for position, link in enumerate(raw.get("links") or ()):
        kind = str(link[5]) if len(link) > 5 and link[5] is not None else "*"
        if None in link[:4]:
            outside_types.setdefault(str(link[2]), kind)
            continue
        links.append(UiLink(str(position), str(link[0]), int(link[1]), str(link[2]), int(link[3])))
        link_types[str(position)] = kind
    external_outputs = {(str(end[0]), int(end[1])): str(end[2]) for end in raw.get("external") or () if end[2] is not None}
    return GroupNode(name, nodes, links, link_types, outside_types, external_outputs, raw.get("config") or {})


@dataclass
class GroupNodeInterface:
    """The widgets, sockets and outputs of an instance, in the order in which ComfyUI builds them."""

    widgets: list[InputSpec] = field(default_factory=list[InputSpec])
    targets: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """name of a widget or socket of the group node -> (inner node, its input)"""
    sockets: dict[str, str] = field(default_factory=dict[str, str])
    """name of a socket -> its type"""
    outputs: list[tuple[str, int, str]] = field(default_factory=list[tuple[str, int, str]])
    """(inner node, slot, type)"""
    primitive_options: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """primitive -> the options of the widget that it feeds"""


def build_interface(group: GroupNode, definitions: Definitions) -> GroupNodeInterface:
    """Return the interface that all instances of a group node share."""
    return _InterfaceBuilder(group, definitions).build()


class _InterfaceBuilder:
    def __init__(self, group: GroupNode, definitions: Definitions) -> None:
        self.group = group
        self.definitions = definitions
        self.interface = GroupNodeInterface()
        self._name_counts: dict[str, int] = {}

    def build(self) -> GroupNodeInterface:
        socket_widgets: list[tuple[UiNode, int, list[InputSpec]]] = []
        for node in self.group.nodes.values():
            specs = self._get_specs(node)
            if specs is None:
                continue
            slots, with_socket = self._add_widgets(node, specs)
            self._add_plain_sockets(node, slots)
            socket_widgets.append((node, len(slots), with_socket))
            self._add_outputs(node)
        for node, first, with_socket in socket_widgets:
            self._add_socket_widgets(node, first, with_socket)
        self.interface.widgets = [self._add_control(spec) for spec in self.interface.widgets]
        return self.interface

    def _get_specs(self, node: UiNode) -> list[InputSpec] | None:
        """Return the inputs of an inner node; None when it adds nothing to the interface."""
        definition = self.definitions.get(node.type)
        if definition is not None:
            return sorted(get_definition_specs(definition), key=lambda spec: not spec.required)
        if node.type == PRIMITIVE:
            fed_link = next((links[0] for links in self.group.get_outgoing_links(node).values()), None)
            return [self._make_primitive_spec(fed_link)] if fed_link else None
        if node.type == REROUTE and not self._is_internal(node):
            kind = self._find_reroute_type(node)
            return [InputSpec(kind, kind, {"forceInput": True})]
        return None

    def _make_primitive_spec(self, fed_link: UiLink) -> InputSpec:
        kind = self.group.link_types[fed_link.id]
        target = self._find_target_spec(fed_link) if kind == COMBO else None
        return replace(target, name="value", required=True) if target else InputSpec("value", kind, {})

    def _find_target_spec(self, link: UiLink) -> InputSpec | None:
        node = self.group.nodes.get(link.target)
        name = get_input_name(node, link.target_slot) if node else None
        definition = self.definitions.get(node.type) if node else None
        return next((spec for spec in get_definition_specs(definition) if spec.name == name), None) if definition else None

    def _is_internal(self, reroute: UiNode) -> bool:
        linked = self.group.get_incoming_links(reroute) and self.group.get_outgoing_links(reroute)
        return bool(linked) and (reroute.id, 0) not in self.group.external_outputs

    def _find_reroute_type(self, node: UiNode) -> str:
        incoming, outgoing = self.group.get_incoming_links(node), self.group.get_outgoing_links(node)
        if outgoing:
            types = [self._get_input_type(link) for link in outgoing.get(0, ())]
            return next((kind for kind in types if kind != "*"), "*")
        if 0 in incoming:
            origin = self.group.nodes.get(incoming[0].origin)
            types = origin.output_types if origin else ()
            return types[incoming[0].origin_slot] if incoming[0].origin_slot < len(types) else "*"
        return self.group.outside_types.get(node.id) or self.group.external_outputs.get((node.id, 0), "*")

    def _get_input_type(self, link: UiLink) -> str:
        inputs = self.group.nodes[link.target].inputs if link.target in self.group.nodes else ()
        return inputs[link.target_slot].type if link.target_slot < len(inputs) else "*"

    # ------------------------------------------------------------------ inputs

    def _add_widgets(self, node: UiNode, specs: Sequence[InputSpec]) -> tuple[list[InputSpec], list[InputSpec]]:
        """Add the plain widgets. Return the other inputs, and the widgets with a socket, which come later."""
        slots: list[InputSpec] = []
        converted: dict[int, InputSpec] = {}
        linked = {get_input_name(node, slot) for slot in self.group.get_incoming_links(node)}
        for spec in specs:
            if get_widget_type(spec) not in WIDGET_TYPES:
                slots.append(spec)
                continue
            position = next(
                (index for index, socket in enumerate(node.inputs) if socket.name == spec.name == socket.widget), None
            )
            if position is not None:
                converted[position] = spec
                continue
            renamed = self._rename_spec(node, spec)
            if is_widget(spec):
                self.interface.widgets.append(renamed)
                self.interface.targets[renamed.name] = node.id, spec.name
            elif _get_saved_name(node, spec) not in linked:
                self._add_socket(node, spec, renamed.name)
        # JavaScript sorts numbers as text.
        return slots, [converted[position] for position in sorted(converted, key=str)]

    def _add_plain_sockets(self, node: UiNode, slots: Sequence[InputSpec]) -> None:
        linked = self.group.get_incoming_links(node)
        for position, spec in enumerate(slots):
            if position in linked:
                self._record_primitive(linked[position], spec)
                continue
            name = self._rename_spec(node, spec).name
            if self.group.get_setting(node, "input", spec.name).get("visible") is not False:
                self._add_socket(node, spec, name)

    def _add_socket_widgets(self, node: UiNode, first: int, converted: Sequence[InputSpec]) -> None:
        linked = self.group.get_incoming_links(node)
        for position, spec in enumerate(converted, first):
            if position in linked:
                self._record_primitive(linked[position], spec)
                continue
            renamed = self._rename_spec(node, spec)
            self.interface.widgets.append(renamed)
            self._add_socket(node, spec, renamed.name)

    def _add_socket(self, node: UiNode, spec: InputSpec, name: str) -> None:
        self.interface.targets[name] = node.id, _get_saved_name(node, spec)
        self.interface.sockets[name] = spec.type

    def _record_primitive(self, link: UiLink, spec: InputSpec) -> None:
        origin = self.group.nodes.get(link.origin)
        if origin is not None and origin.type == PRIMITIVE:
            self.interface.primitive_options[origin.id] = spec.options

    def _add_control(self, spec: InputSpec) -> InputSpec:
        """Add a control slot to a widget that a primitive feeds, whatever the widget itself would have."""
        options = self.interface.primitive_options.get(self.interface.targets[spec.name][0])
        return spec if options is None else replace(spec, options={**options, **spec.options, "control_after_generate": True})

    def _rename_spec(self, node: UiNode, spec: InputSpec) -> InputSpec:
        """Return an input under its name in the group node: the first keeps its name, others are named after their node."""
        label = next((socket.label for socket in node.inputs if socket.name == spec.name), None)
        name = str(self.group.get_setting(node, "input", spec.name).get("name") or label or spec.name)
        key = name
        if (node.type == PRIMITIVE and node.title) or name in self._name_counts:
            prefix = f"{node.title if node.title is not None else node.type} "
            key = name = f"{prefix}{spec.name}"
            if name in self._name_counts:
                name = f"{prefix}{self._name_counts[name]} {spec.name}"
        self._name_counts[key] = self._name_counts.get(key, 1) + 1
        options = {**spec.options, "control_after_generate": True} if spec.name in _SEEDS else spec.options
        return InputSpec(name, spec.type, options)

    # ------------------------------------------------------------------ outputs

    def _add_outputs(self, node: UiNode) -> None:
        for slot, kind in enumerate(self._get_output_types(node)):
            hidden = slot in self.group.get_outgoing_links(node) and (node.id, slot) not in self.group.external_outputs
            visible = self.group.get_setting(node, "output", slot).get("visible")
            if visible is True or (visible is None and not hidden):
                self.interface.outputs.append((node.id, slot, kind))

    def _get_output_types(self, node: UiNode) -> list[str]:
        definition = self.definitions.get(node.type)
        if definition is not None:
            return [kind if isinstance(kind, str) else COMBO for kind in definition.get("output") or ()]
        return [spec.type for spec in self._get_specs(node) or ()]


def get_input_name(node: UiNode, slot: int) -> str | None:
    """Return the name of the saved input at ``slot``, None if it does not exist."""
    return node.inputs[slot].name if 0 <= slot < len(node.inputs) else None


def _get_saved_name(node: UiNode, spec: InputSpec) -> str:
    """Return the name of an input in the file; group nodes name the input of a reroute by its type."""
    return (get_input_name(node, 0) or "") if node.type == REROUTE else spec.name
