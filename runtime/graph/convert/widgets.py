"""Assign the saved values of a node to its widgets.

A saved node holds a bare list of values. The node's definition alone decides which slot belongs to which widget: its inputs in
order, the control slots that the canvas adds after seeds, the children of a dynamic combo box after its selector, the upload
button last. Values are never moved to another widget silently: where the list does not fit, the known reasons are tried, and
if none applies, ``WidgetValues.mismatch`` describes the difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from ..specs import AUTOGROW, COMBO, DYNAMIC_COMBO, InputSpec, get_dynamic_children, get_dynamic_keys, parse_specs

# The widget registry of ComfyUI's frontend 1.58, with what its own extensions add.
WIDGET_TYPES = frozenset(
    {
        *("INT", "FLOAT", "BOOLEAN", "STRING", "COMBO", "MARKDOWN", "TEXTAREA", "COLOR", "COLORS", "CURVE", "RANGE"),
        *("BOUNDING_BOX", "BOUNDING_BOXES", "CHART", "GALLERIA", "PAINTER", "IMAGECOMPARE", "IMAGEUPLOAD"),
        *("AUDIO_UI", "AUDIOUPLOAD", "AUDIO_RECORD", "WEBCAM", "LOAD_3D", "PREVIEW_3D", DYNAMIC_COMBO),
        *("VIDEO_EDIT", "COMPOSITOR", "RESOLUTION_PREVIEW", "LIGHT_INFO_PREVIEW"),
    }
)
# JavaScript adds an image widget to these classes, which the canvas always sends.
VIEWER_CLASSES = frozenset({"SaveGLB", "Preview3D"})
CUSTOM_COMBO = "CustomCombo"
SAMPLER_CLASSES = frozenset({"KSampler", "KSamplerAdvanced"})
CONTROL_WORDS = frozenset({"fixed", "increment", "decrement", "randomize", "increment-wrap"})
UPLOAD_FLAGS = ("image_upload", "video_upload", "animated_image_upload")
ABSENT: Any = object()
"""The value of a widget that is left out of the prompt"""
UPLOAD_BUTTON = InputSpec("upload", "IMAGEUPLOAD", {"default": "image"})
"""The canvas adds it after the inputs of a class with an upload. It is saved, but not sent."""
AUTO_REFRESH = InputSpec("Auto-refresh after generation", "BOOLEAN", {"default": False})
REFRESH_BUTTON = InputSpec("refresh", "BUTTON", {"default": "refresh"})
"""The canvas adds them after a combo box with remote choices. The switch is saved, the button is also sent."""


def get_definition_specs(definition: Mapping[str, Any]) -> list[InputSpec]:
    """Return the inputs of an ``/object_info`` entry, in the order in which the canvas builds them."""
    specs = parse_specs(definition.get("input") or {}, definition.get("input_order"))
    uploads = any(spec.required and spec.type == COMBO and spec.options.get(flag) for spec in specs for flag in UPLOAD_FLAGS)
    return [*specs, UPLOAD_BUTTON] if uploads else specs


def is_widget(spec: InputSpec) -> bool:
    """Return whether the canvas shows a widget instead of a bare socket."""
    return (spec.options.get("widgetType") or spec.type) in WIDGET_TYPES and not spec.options.get("forceInput")


def get_widget_type(spec: InputSpec) -> str:
    return str(spec.options.get("widgetType") or spec.type)


def get_default_value(spec: InputSpec) -> Any:
    """Return what the canvas puts into a new widget; ``ABSENT`` for a combo box without choices."""
    kind = get_widget_type(spec)
    if kind == "IMAGECOMPARE":
        return ["", ""]
    if kind == DYNAMIC_COMBO:
        return next(iter(get_dynamic_keys(spec)), ABSENT)
    if kind == "VIDEO_EDIT":
        zeros = {"trim": ("start_time", "duration"), "crop": ("x", "y", "width", "height")}
        features: Sequence[str] = spec.options.get("features") or tuple(zeros)
        default: Any = {name: dict.fromkeys(zeros[name], 0) for name in features}
        return spec.options.get("default") or default
    if "default" in spec.options and spec.options["default"] is not None:
        return spec.options["default"]
    if kind == COMBO:
        return next(iter(spec.choices or ()), ABSENT)
    return {"INT": 0, "FLOAT": 0, "BOOLEAN": False, "STRING": "", "COLOR": "#000000"}.get(kind, ABSENT)


def count_control_slots(spec: InputSpec) -> int:
    """Return the number of control slots after a widget (``control_after_generate``, ``control_filter_list``)."""
    kind = get_widget_type(spec)
    control = spec.options.get("control_after_generate")
    if kind == "INT":
        return int(bool(control) if control is not None else spec.name in ("seed", "noise_seed"))
    if kind == "FLOAT":
        return int(bool(control))
    return 2 if kind == COMBO and control else 0


@dataclass(frozen=True)
class WidgetValues:
    """The values of one node's widgets by input name, in the order of the canvas."""

    values: dict[str, Any]
    specs: Mapping[str, InputSpec]
    mismatch: str = ""
    """Why the saved list does not fit; empty when it does"""
    newer_names: tuple[str, ...] = ()
    """Widgets that the file names and the definition lacks: a newer version of the class saved it"""
    ignored: tuple[Any, ...] = ()
    """Saved values after those of the last widget"""


def select_dynamic_choice(widgets: WidgetValues, name: str, key: Any) -> WidgetValues:
    """Return the widgets after another choice of a dynamic combo box, whose children get their defaults."""
    children = _read_specs(get_dynamic_children(widgets.specs[name], key), _ValuesByName({}))
    values: dict[str, Any] = {}
    specs: dict[str, InputSpec] = {}
    for other, value in widgets.values.items():
        if not other.startswith(f"{name}."):
            values[other] = key if other == name else value
            specs.update({other: widgets.specs[other]} if other in widgets.specs else {})
        if other == name:
            values.update(children.values)
            specs.update(children.specs)
    return WidgetValues(values, specs, widgets.mismatch)


def read_widgets(
    class_id: str,
    definition: Mapping[str, Any],
    saved: list[Any] | dict[str, Any] | None,
    named: Mapping[str, Any] | None = None,
) -> WidgetValues:
    """Assign every saved value to its widget; widgets without one get their default.

    ``named`` is ``widgets_values_named``: its names say whose values a list has that does not fit.
    """
    specs = get_definition_specs(definition)
    newer_names: tuple[str, ...] = ()
    if isinstance(saved, dict):
        reader, mismatch = _read_specs(specs, _ValuesByName(saved)), ""
        _add_undeclared_values(reader, saved)
    else:
        reader, mismatch = _align_values(specs, saved or [])
        if named and len(named) == len(saved or []) and (mismatch or not _is_plausible(reader)):
            by_name = _read_specs(specs, _ValuesByName(dict(zip(named, saved or [], strict=True))))
            newer_names = tuple(name for name in named if name not in by_name.specs and not _is_button(name))
            if not newer_names and _is_plausible(by_name):
                reader, mismatch = by_name, ""
    _add_javascript_widgets(class_id, reader, saved)
    _repair_values(class_id, reader)
    ignored = () if class_id in VIEWER_CLASSES or class_id == CUSTOM_COMBO else tuple(_iterate_ignored(reader, saved))
    return WidgetValues(reader.values, reader.specs, mismatch, newer_names, ignored)


def _add_undeclared_values(reader: _WidgetReader, saved: Mapping[str, Any]) -> None:
    """Add the values of widgets that JavaScript of the pack made. Objects are previews, which are not sent."""
    reader.values.update(
        {
            name: value
            for name, value in saved.items()
            if name not in reader.values and isinstance(value, str | int | float) and not _is_button(name)
        }
    )


def _is_button(name: str) -> bool:
    """Return whether the canvas saves a widget of this name but does not send it."""
    return name.startswith(("control_after_generate", "control_filter_list", "choose ")) or name in (
        *("upload", AUTO_REFRESH.name, REFRESH_BUTTON.name),
    )


def _iterate_ignored(reader: _WidgetReader, saved: list[Any] | dict[str, Any] | None) -> Iterator[Any]:
    rest = saved[reader.source.position :] if isinstance(saved, list) and isinstance(reader.source, _ValuesInOrder) else []
    yield from (value for value in rest if value is not None and value not in ("", "image", *CONTROL_WORDS))


def assign_values(specs: Sequence[InputSpec], saved: Sequence[Any]) -> WidgetValues:
    """Assign every saved value to its widget, for widgets that belong to no class."""
    reader, mismatch = _align_values(specs, list(saved))
    return WidgetValues(reader.values, reader.specs, mismatch)


class _ValuesByName:
    """Saved values as some packs store them: a dict by widget name."""

    def __init__(self, saved: Mapping[str, Any]) -> None:
        self.saved = saved

    def take_value(self, spec: InputSpec) -> Any:
        return self.saved.get(spec.name, ABSENT)

    def skip_control_slots(self, spec: InputSpec) -> None:
        """Do nothing: control slots have names of their own here."""


class _ValuesInOrder:
    """Saved values as ComfyUI stores them: a list, one slot after the other."""

    def __init__(self, saved: Sequence[Any], *, guess_seeds: bool = False) -> None:
        self.saved = saved
        self.guess_seeds = guess_seeds
        self.position = 0

    def take_value(self, spec: InputSpec) -> Any:
        value: Any = self.saved[self.position] if self.position < len(self.saved) else ABSENT
        if get_widget_type(spec) == "VIDEO_EDIT" and not isinstance(value, dict):
            return ABSENT  # a file from before the class had the editor
        self.position += 1
        return cast(Any, value)

    def skip_control_slots(self, spec: InputSpec) -> None:
        slots = count_control_slots(spec)
        if not slots and self.guess_seeds and get_widget_type(spec) == "INT" and "seed" in spec.name.lower():
            next_value = self.saved[self.position] if self.position < len(self.saved) else None
            slots = int(isinstance(next_value, str) and next_value in CONTROL_WORDS)
        self.position += slots


@dataclass
class _WidgetReader:
    source: _ValuesByName | _ValuesInOrder
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    specs: dict[str, InputSpec] = field(default_factory=dict[str, InputSpec])

    def read(self, specs: Sequence[InputSpec]) -> None:
        for spec in specs:
            if spec.type == AUTOGROW or not is_widget(spec):
                continue
            if spec.type == "AUDIO_UI":  # a player: has a slot in the list, but no value in the prompt
                self.source.take_value(spec)
                continue
            self._read_widget(spec)

    def _read_widget(self, spec: InputSpec) -> None:
        value = ABSENT if spec.type == "IMAGECOMPARE" else self.source.take_value(spec)
        self.values[spec.name] = get_default_value(spec) if value is ABSENT else value
        self.specs[spec.name] = spec
        self.source.skip_control_slots(spec)
        remote: object = spec.options.get("remote")
        if remote:
            self.source.take_value(AUTO_REFRESH)
        if isinstance(remote, dict) and cast("dict[str, Any]", remote).get("refresh_button"):
            self._read_widget(REFRESH_BUTTON)
        if get_widget_type(spec) == DYNAMIC_COMBO:
            self.read(get_dynamic_children(spec, self.values[spec.name]))


def _read_specs(specs: Sequence[InputSpec], source: _ValuesByName | _ValuesInOrder) -> _WidgetReader:
    reader = _WidgetReader(source)
    reader.read(specs)
    return reader


def _align_values(specs: Sequence[InputSpec], saved: list[Any]) -> tuple[_WidgetReader, str]:
    """Return the reading that fits: as saved today, before frontend 1.16, or with a control slot after every seed."""
    saved = _drop_force_input_slots(specs, saved)
    source = _ValuesInOrder(saved)
    plain = _read_specs(specs, source)
    if source.position == len(saved) or _is_plausible(plain):
        return plain, ""
    guessed = _read_specs(specs, _ValuesInOrder(saved, guess_seeds=True))
    if _is_plausible(guessed):
        return guessed, ""
    return (
        plain,
        f"{len(saved)} saved values {shorten_values(saved)} do not fit its widgets {', '.join(plain.values) or '(none)'}",
    )


def shorten_values(saved: Sequence[Any]) -> str:
    """Return values for a message, at most 200 characters."""
    text = repr(list(saved))
    return text if len(text) <= 200 else f"{text[:200]}..."


def _drop_force_input_slots(specs: Sequence[InputSpec], saved: list[Any]) -> list[Any]:
    """Drop the dummy slots that frontends before 1.16 saved for inputs with ``forceInput``."""
    is_dummy: list[bool] = []
    for spec in specs:
        force = bool(spec.options.get("forceInput"))
        if force or (is_widget(spec) and spec.type != AUTOGROW):
            is_dummy += [force, False] if spec.options.get("control_after_generate") else [force]
    if len(is_dummy) != len(saved):
        return saved
    return [value for value, dummy in zip(saved, is_dummy, strict=True) if not dummy]


def _is_plausible(reader: _WidgetReader) -> bool:
    return all(_can_hold(spec, reader.values[name]) for name, spec in reader.specs.items())


def _can_hold(spec: InputSpec, value: Any) -> bool:
    """Return whether a value can belong to a widget. None and absent values can belong to any."""
    if value is None or value is ABSENT:
        return True
    kind = get_widget_type(spec)
    if kind in ("INT", "FLOAT"):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "BOOLEAN":
        return isinstance(value, bool)
    if kind in ("STRING", "COLOR", "MARKDOWN", "TEXTAREA"):
        return isinstance(value, str)
    if kind == COMBO:
        return not spec.choices or type(value) in {type(choice) for choice in spec.choices}
    return kind != DYNAMIC_COMBO or value in get_dynamic_keys(spec)


def _add_javascript_widgets(class_id: str, reader: _WidgetReader, saved: list[Any] | dict[str, Any] | None) -> None:
    """Add widgets that no definition declares, because the frontend's own JavaScript creates them."""
    position = reader.source.position if isinstance(reader.source, _ValuesInOrder) else 0
    rest = saved[position:] if isinstance(saved, list) else []
    if class_id in VIEWER_CLASSES:
        reader.values["image"] = rest[0] if rest else ""
    if class_id == CUSTOM_COMBO:
        options = list(_iterate_custom_options(rest[1:]))
        choice = reader.values.get("choice")
        reader.values["index"] = options.index(choice) if choice in options else -1
        reader.values.update({f"option{number}": option for number, option in enumerate(options, 1)})


def _iterate_custom_options(saved: Sequence[Any]) -> Iterator[Any]:
    """Yield the options of a custom combo box, which shows an additional empty one at the end."""
    for value in saved:
        yield value
        if not value:
            return
    yield ""


def _repair_values(class_id: str, reader: _WidgetReader) -> None:
    """Repair values of earlier versions, as the canvas does on loading."""
    for name, spec in reader.specs.items():
        if reader.values[name] is None and get_widget_type(spec) == COMBO and spec.choices:
            reader.values[name] = spec.choices[0]
    sampler = reader.values.get("sampler_name")
    if class_id in SAMPLER_CLASSES and isinstance(sampler, str):
        reader.values["sampler_name"] = sampler.removeprefix("sample_")


def wrap_for_prompt(spec: InputSpec | None, value: Any) -> Any:
    """Return a widget's value in the API format, where a bare list would be read as a link."""
    if not isinstance(value, list):
        return value
    wrapped: dict[str, Any] = {"__value__": cast("list[Any]", value)}
    return {"__type__": "CURVE", **wrapped} if spec is not None and get_widget_type(spec) == "CURVE" else wrapped
