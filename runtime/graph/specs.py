"""Parse the declared inputs of node classes from ComfyUI's V1 notation ``name: (type, options)``.

``INPUT_TYPES()`` of a class and the ``input`` field of ComfyUI's ``/object_info`` have the same shape. Lists and tuples are
both accepted, and a list in place of the type is a combo box.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

COMBO = "COMBO"
DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"
AUTOGROW = "COMFY_AUTOGROW_V3"
MATCH_TYPE = "COMFY_MATCHTYPE_V3"
ANY_TYPE = "*"
TYPE_NOUNS = {"INT": "an integer", "FLOAT": "a number", "STRING": "text", "BOOLEAN": "true or false"}
"""How messages name the values of a type."""


@dataclass(frozen=True)
class InputSpec:
    """One declared input. ``type`` is the wire type (``COMBO`` for a list of choices), ``options`` the class's own mapping.

    Some packs use a ``str`` subclass with its own ``__ne__`` as a type that fits everything, so ``type`` is not converted.
    """

    name: str
    type: str
    options: Mapping[str, Any]
    required: bool = True

    @property
    def choices(self) -> Sequence[Any] | None:
        """The choices of a combo box; None when this is not a combo box or its choices are not a list."""
        offered = self.options.get("options") if self.type == COMBO else None
        return cast("Sequence[Any]", offered) if isinstance(offered, list | tuple) else None


def parse_spec(name: str, raw: object, required: bool = True) -> InputSpec:
    """Parse ``(type, options)``, ``[type]`` or a bare type name."""
    fields = cast("Sequence[Any]", raw) if isinstance(raw, list | tuple) and raw else cast("Sequence[Any]", (raw,))
    kind = fields[0]
    given = fields[1] if len(fields) > 1 else None
    options: Mapping[str, Any] = cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else {}
    if isinstance(kind, list | tuple):
        return InputSpec(name, COMBO, {**options, "options": kind}, required)
    return InputSpec(name, kind if isinstance(kind, str) else str(kind), options, required)


def parse_specs(declared: Mapping[str, Any], order: Mapping[str, Any] | None = None, prefix: str = "") -> list[InputSpec]:
    """Return the required, then the optional inputs, in the given ``order`` if any, each name with ``prefix`` before it."""
    return [
        parse_spec(prefix + name, group[name], category == "required")
        for category in ("required", "optional")
        for group in (cast("Mapping[str, Any]", declared.get(category) or {}),)
        for name in _iterate_in_order(group, (order or {}).get(category))
    ]


def _iterate_in_order(group: Mapping[str, Any], order: object) -> Iterator[str]:
    first = [name for name in cast("Sequence[Any]", order) if name in group] if isinstance(order, list | tuple) else []
    yield from dict.fromkeys([*first, *group])


def get_dynamic_children(spec: InputSpec, key: object) -> list[InputSpec]:
    """Return the inputs that a dynamic combo box shows for the choice ``key``, named ``parent.child``."""
    for option in cast("Sequence[Mapping[str, Any]]", spec.options.get("options") or ()):
        if option.get("key") == key:
            return parse_specs(option.get("inputs") or {}, prefix=f"{spec.name}.")
    return []


def get_dynamic_keys(spec: InputSpec) -> list[Any]:
    """Return the choices of a dynamic combo box."""
    return [option.get("key") for option in cast("Sequence[Mapping[str, Any]]", spec.options.get("options") or ())]


@dataclass(frozen=True)
class AutogrowTemplate:
    """A group of inputs that grows while it is being connected: ``group.image0``, ``group.image1``, ..."""

    group: str
    inputs: tuple[InputSpec, ...]
    names: tuple[str, ...]
    per_input: bool
    min_steps: int

    def get_inputs_at(self, ordinal: int) -> list[InputSpec]:
        """Return the inputs of one step of growth; an empty list after the last allowed step."""
        if ordinal >= len(self.names):
            return []
        return [
            InputSpec(self._format_name(spec, ordinal), spec.type, spec.options, spec.required and ordinal < self.min_steps)
            for spec in self.inputs
        ]

    def _format_name(self, spec: InputSpec, ordinal: int) -> str:
        return f"{self.group}.{f'{spec.name}{ordinal}' if self.per_input else self.names[ordinal]}"

    def get_all_inputs(self) -> list[InputSpec]:
        """Return all inputs that the group can have."""
        return [spec for ordinal in range(len(self.names)) for spec in self.get_inputs_at(ordinal)]


def parse_autogrow(spec: InputSpec) -> AutogrowTemplate:
    """Parse the template of an autogrow input: at most 100 steps, as in ComfyUI."""
    template = cast("Mapping[str, Any]", spec.options.get("template") or {})
    inputs = tuple(parse_specs(template.get("input") or {}))
    prefix = str(template.get("prefix") or "")
    given = template.get("names")
    count = min(int(template.get("max", 100)), 100)
    names = tuple(map(str, cast("Sequence[Any]", given))) if given else tuple(f"{prefix}{index}" for index in range(count))
    return AutogrowTemplate(spec.name, inputs, names, not given and len(inputs) > 1, int(template.get("min", 1)))
