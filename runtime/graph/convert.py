"""From the workflow that the canvas saves to the prompt that runs, as ComfyUI's own frontend 1.47 does it.

Known differences, all of them meant: inner nodes keep the ids of the file where ComfyUI renumbers ids that collide; a
``null`` typed into a subgraph keeps the inner value, and a primitive that is promoted out of one its own; an output of a
subgraph that is wired straight to one of its inputs works; a node of a type that is not known is reported; group nodes of
older files keep their links, values and modes where the frontend loses them (``ungroup``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, cast

from ..errors import Problem, WorkflowError
from .canvas import RESAVE_HINT, Node, read_canvas
from .group_nodes import group_name, read_group_nodes
from .links import Links, Output, PromotedValue, is_virtual
from .prompts import Prompt
from .scopes import LiveNode, Scope, Scopes
from .text import as_text, choose, replace_tokens
from .ungroup import Ungrouped, ungroup
from .widgets import ABSENT, UPLOAD_BUTTON, in_prompt

SAVE_CLASSES = frozenset(
    {
        "SaveImage",
        "SaveImageAdvanced",
        "SaveSVGNode",
        "SaveVideo",
        "SaveAnimatedWEBP",
        "SaveWEBM",
        "SaveAudio",
        "SaveAudioMP3",
        "SaveAudioOpus",
        "SaveAudioAdvanced",
        "SaveGLB",
        "Save3DAdvanced",
        "SaveGaussianSplat",
        "SavePointCloud",
        "SaveAnimatedPNG",
        "CLIPSave",
        "VAESave",
        "ModelSave",
        "LoraSave",
        "SaveLatent",
    }
)
"""The classes in whose ``filename_prefix`` the canvas replaces ``%date:...%`` and ``%Node.widget%``."""


@dataclass(frozen=True)
class Conversion:
    """``prompt`` in API format, and everything that could not be converted faithfully.

    ``packs`` names, for the classes that are not known, the pack that the workflow says they come from.
    """

    prompt: Prompt
    problems: list[Problem]
    packs: dict[str, str]


def convert(
    ui: Mapping[str, Any],
    definitions: Mapping[str, Mapping[str, Any]],
    *,
    now: datetime | None = None,
    seed: int | None = None,
) -> Conversion:
    """Convert a UI-saved workflow.

    ``definitions`` has the shape of ComfyUI's ``/object_info``. ``now`` is the time for ``%date:...%`` and ``seed`` fixes
    the branches of ``{red|blue}``. Raises ``WorkflowError`` when the file is damaged or its links run in a circle.
    """
    try:
        ungrouped = ungroup(read_canvas(ui), read_group_nodes(ui), definitions)
        return _Converter(ungrouped, definitions, now or datetime.now().astimezone(), Random(seed)).run()
    except WorkflowError:
        raise
    except RecursionError as error:
        raise WorkflowError("The workflow is nested too deeply.", "Take some of its reroutes or subgraphs out.") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        what = (
            f"The workflow or its node definitions have a shape that ComfyUI does not write ({type(error).__name__}: {error})."
        )
        raise WorkflowError(what, RESAVE_HINT) from error


class _Converter:
    def __init__(
        self, ungrouped: Ungrouped, definitions: Mapping[str, Mapping[str, Any]], now: datetime, random: Random
    ) -> None:
        self.refused = ungrouped.refused
        self.scopes = Scopes(ungrouped.canvas, definitions)
        self.opened = self.scopes.open()
        self.links = Links(self.scopes, self.opened)
        self.now = now
        self.random = random
        self.problems: list[Problem] = []
        self.packs: dict[str, str] = {}
        self.scopes.apply_primitives(self.opened, self._replaced)

    def run(self) -> Conversion:
        prompt: Prompt = {}
        for scope in self.opened:
            for node in scope.graph.nodes.values():
                if not (is_virtual(node) or node.muted or node.bypassed or self.scopes.subgraph(node)):
                    prompt[scope.execution_id(node)] = self._record(scope, node)
        return Conversion(_in_browser_order(prompt), self.problems, self.packs)

    def _record(self, scope: Scope, node: Node) -> dict[str, Any]:
        live = self.scopes.live_in(scope, node)
        if live.definition is None:
            self._report_unknown(scope, node)
        if live.widgets.misfit:
            self._report_misfit(scope, live)
        inputs = self._widgets(scope, live)
        for slot, socket in enumerate(live.sockets):
            source = self.links.into(scope, node, slot)
            if isinstance(source, Output):
                inputs[socket.name] = [source.node_id, source.slot]
            elif isinstance(source, PromotedValue):
                inputs[socket.name] = in_prompt(None, source.value)
        kept = {name: value for name, value in inputs.items() if value is not ABSENT}
        return {"inputs": kept, "class_type": node.type, "_meta": {"title": self._title(scope, node)}}

    def _widgets(self, scope: Scope, live: LiveNode) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, own in live.widgets.values.items():
            spec = live.widgets.specs.get(name)
            value = scope.widgets.get((live.node.id, name), own)
            if spec is UPLOAD_BUTTON:
                continue
            if isinstance(value, str) and spec and spec.options.get("dynamicPrompts"):
                value = choose(value, self.random)
            elif isinstance(value, str) and name == "filename_prefix" and live.node.type in SAVE_CLASSES:
                value = self._replaced(value)
            values[name] = in_prompt(spec, value)
        return values

    def _replaced(self, text: str) -> str:
        return replace_tokens(text, self._widget_text, self.now)

    def _widget_text(self, wanted: str, widget: str) -> str | None:
        """The value of a widget as text, for ``%Node.widget%``: by the node's S&R name, else by its title."""
        nodes = [(scope, node) for scope in self.opened for node in scope.graph.nodes.values()]
        named = [found for found in nodes if found[1].properties.get("Node name for S&R") == wanted]
        named = named or [found for found in nodes if self._title(*found) == wanted]
        if not named:
            return None
        scope, node = named[0]
        values = self.scopes.live_in(scope, node).widgets.values
        return as_text(scope.widgets.get((node.id, widget), values[widget])) if widget in values else None

    def _title(self, scope: Scope, node: Node) -> str:
        definition = self.scopes.live_in(scope, node).definition or {}
        return str(node.title or definition.get("display_name") or node.type)

    def _report_unknown(self, scope: Scope, node: Node) -> None:
        pack = node.properties.get("cnr_id") or node.properties.get("aux_id")
        if pack:
            self.packs[node.type] = str(pack)
        if (scope.graph.id, node.id) in self.refused:
            reason = self.refused[scope.graph.id, node.id]
            kind, what = "legacy_group_node", f"The group node {group_name(node.type)!r} cannot be converted: {reason}."
            hint = "Open the workflow in ComfyUI, which makes a subgraph of it, look at its values, and save it again."
        else:
            kind, what = "missing_node_type", f"There is no node class {node.type!r} here."
            hint = f"It belongs to the pack {pack}. " if pack and pack != "comfy-core" else ""
            hint += "It is one of ComfyUI's own that does not run here. " if pack == "comfy-core" else ""
            hint += _models_named(node)
            hint += "Mute or delete the node, or replace it by one that `nodes` lists."
        self._report(kind, what, hint, scope, node)

    def _report_misfit(self, scope: Scope, live: LiveNode) -> None:
        hint = "The node was saved by another version of its pack: open the workflow in ComfyUI, look at its values, save it."
        self._report("widgets_values_mismatch", f"The {live.widgets.misfit}.", hint, scope, live.node)

    def _report(self, kind: str, what: str, hint: str, scope: Scope, node: Node) -> None:
        self.problems.append(Problem(kind, what, hint, scope.execution_id(node), node.type, self._title(scope, node)))


def _models_named(node: Node) -> str:
    """The weights that a workflow says a node needs: ``properties.models``, which templates have."""
    entries: object = node.properties.get("models")
    models = cast("list[Any]", entries) if isinstance(entries, list) else []
    named = [cast("dict[str, Any]", model) for model in models if isinstance(model, dict) and "name" in model]
    texts = [f"{model['name']} ({model.get('directory') or 'models'})" for model in named]
    return f"It needs {', '.join(texts)}. " if texts else ""


def _in_browser_order(prompt: Prompt) -> Prompt:
    """JavaScript lists keys that are integers first, ascending, then the others as they came."""
    return dict(sorted(prompt.items(), key=lambda item: int(item[0]) if item[0].isdecimal() else 2**64))
