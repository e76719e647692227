"""Convert the workflow that the canvas saves to the prompt that runs, as ComfyUI's frontend 1.47 does.

Intended differences: inner nodes keep the ids of the file, where ComfyUI renumbers colliding ids; a ``null`` entered in a
subgraph keeps the inner value, and a primitive promoted out of a subgraph its own; an output of a subgraph that is linked
directly to one of its inputs works; a node of an unknown type is reported; group nodes of older files keep links, values and
modes that the frontend loses (``group_node_expand``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any, cast

from ...errors import Problem, WorkflowError
from ..prompts import Prompt
from .group_node_expand import GroupNodeExpansion, expand_group_nodes
from .group_nodes import get_group_name, read_group_nodes
from .links import LinkResolver, OutputRef, PromotedValue, is_virtual_node
from .subgraphs import GraphScope, LoadedNode, SubgraphScopes
from .text_tokens import expand_choices, format_like_javascript, replace_tokens
from .ui_workflow import RESAVE_HINT, UiGraph, UiNode, read_ui_workflow
from .widgets import ABSENT, UPLOAD_BUTTON, get_widget_type, shorten_values, wrap_for_prompt

SAVE_CLASSES = frozenset(
    """
    SaveImage SaveImageAdvanced SaveSVGNode SaveVideo SaveAnimatedWEBP SaveWEBM SaveAudio SaveAudioMP3 SaveAudioOpus
    SaveAudioAdvanced SaveGLB Save3DAdvanced SaveGaussianSplat SavePointCloud SaveAnimatedPNG CLIPSave VAESave ModelSave
    LoraSave SaveLatent
    """.split()  # noqa: SIM905 # read as a list of words
)
"""The classes in whose ``filename_prefix`` the canvas replaces ``%date:...%`` and ``%Node.widget%``."""


@dataclass(frozen=True)
class WorkflowConversion:
    """``prompt`` in API format, and everything that could not be converted faithfully.

    ``packs`` maps unknown classes to the packs that the workflow names for them. ``notes`` name saved values that ComfyUI
    ignores, too.
    """

    prompt: Prompt
    problems: list[Problem]
    packs: dict[str, str]
    notes: list[Problem] = field(default_factory=list[Problem])


def convert_workflow(
    ui: Mapping[str, Any], definitions: Mapping[str, Mapping[str, Any]], *, now: datetime | None = None, seed: int | None = None
) -> WorkflowConversion:
    """Convert a UI-saved workflow.

    ``definitions`` has the shape of ComfyUI's ``/object_info``. ``now`` is the time for ``%date:...%`` and ``seed`` fixes
    the branches of ``{red|blue}``. Raises ``WorkflowError`` when the file is damaged or its links form a cycle.
    """
    try:
        expansion = expand_group_nodes(read_ui_workflow(ui), read_group_nodes(ui), definitions)
        return _WorkflowConverter(expansion, definitions, now or datetime.now().astimezone(), Random(seed)).run()
    except WorkflowError:
        raise
    except RecursionError as error:
        raise WorkflowError("The workflow is nested too deeply.", "Remove some of its reroutes or subgraphs.") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        what = (
            f"The workflow or its node definitions have a shape that ComfyUI does not write ({type(error).__name__}: {error})."
        )
        raise WorkflowError(what, RESAVE_HINT) from error


class _WorkflowConverter:
    def __init__(
        self, expansion: GroupNodeExpansion, definitions: Mapping[str, Mapping[str, Any]], now: datetime, random: Random
    ) -> None:
        self.rejected_group_nodes = expansion.rejected
        self.subgraphs = SubgraphScopes(expansion.workflow, definitions)
        self.all_scopes = self.subgraphs.open_scopes()
        self.link_resolver = LinkResolver(self.subgraphs, self.all_scopes)
        self.now = now
        self.random = random
        self.problems: list[Problem] = []
        self.notes: list[Problem] = []
        self.packs: dict[str, str] = {}
        self.subgraphs.apply_primitives(self.all_scopes, self._replace_tokens)

    def run(self) -> WorkflowConversion:
        prompt: Prompt = {}
        for scope in self.all_scopes:
            for node in scope.graph.nodes.values():
                if is_virtual_node(node) or node.is_muted or node.is_bypassed:
                    continue
                if graph := self.subgraphs.get_subgraph(node):
                    self._report_lost_values(scope, node, graph)
                else:
                    prompt[scope.get_execution_id(node)] = self._convert_node(scope, node)
        return WorkflowConversion(_sort_like_browser(prompt), self.problems, self.packs, self.notes)

    def _convert_node(self, scope: GraphScope, node: UiNode) -> dict[str, Any]:
        loaded = self.subgraphs.get_node_in_scope(scope, node)
        if loaded.definition is None:
            self._report_unknown_class(scope, node)
        if loaded.widgets.mismatch:
            self._report_misfit(scope, loaded)
        elif loaded.widgets.ignored:
            what = f"The saved values {shorten_values(loaded.widgets.ignored)} belong to no input and are ignored."
            self.notes.append(self._make_problem("ignored_values", what, "", scope, node))
        inputs = self._convert_widgets(scope, loaded)
        for slot, socket in enumerate(loaded.sockets):
            source = self.link_resolver.find_source(scope, node, slot)
            if isinstance(source, OutputRef):
                inputs[socket.name] = [source.node_id, source.slot]
            elif isinstance(source, PromotedValue):
                inputs[socket.name] = wrap_for_prompt(None, source.value)
        present = {name: value for name, value in inputs.items() if value is not ABSENT}
        return {"inputs": present, "class_type": node.type, "_meta": {"title": self._get_title(scope, node)}}

    def _convert_widgets(self, scope: GraphScope, loaded: LoadedNode) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, own in loaded.widgets.values.items():
            spec = loaded.widgets.specs.get(name)
            value = scope.widget_values.get((loaded.node.id, name), own)
            if spec is UPLOAD_BUTTON:
                continue
            if isinstance(value, str) and spec and spec.options.get("dynamicPrompts"):
                value = expand_choices(value, self.random)
            elif isinstance(value, str) and name == "filename_prefix" and loaded.node.type in SAVE_CLASSES:
                value = self._replace_tokens(value)
            values[name] = wrap_for_prompt(spec, value)
        return values

    def _replace_tokens(self, text: str) -> str:
        return replace_tokens(text, self._find_widget_text, self.now)

    def _find_widget_text(self, node_name: str, widget: str) -> str | None:
        """Return a widget's value as text for ``%Node.widget%``, looked up by the node's S&R name, else by its title."""
        nodes = [(scope, node) for scope in self.all_scopes for node in scope.graph.nodes.values()]
        matches = [found for found in nodes if found[1].properties.get("Node name for S&R") == node_name]
        matches = matches or [found for found in nodes if self._get_title(*found) == node_name]
        if not matches:
            return None
        scope, node = matches[0]
        values = self.subgraphs.get_node_in_scope(scope, node).widgets.values
        return format_like_javascript(scope.widget_values.get((node.id, widget), values[widget])) if widget in values else None

    def _get_title(self, scope: GraphScope, node: UiNode) -> str:
        definition = self.subgraphs.get_node_in_scope(scope, node).definition or {}
        return str(node.title or definition.get("display_name") or node.type)

    def _report_unknown_class(self, scope: GraphScope, node: UiNode) -> None:
        pack = node.properties.get("cnr_id") or node.properties.get("aux_id")
        if pack:
            self.packs[node.type] = str(pack)
        if (scope.graph.id, node.id) in self.rejected_group_nodes:
            reason = self.rejected_group_nodes[scope.graph.id, node.id]
            kind, what = "legacy_group_node", f"The group node {get_group_name(node.type)!r} cannot be converted: {reason}."
            hint = "Open the workflow in ComfyUI, which converts it to a subgraph, check its values and save it."
        else:
            kind, what = "missing_node_type", f"Unknown node class {node.type!r}."
            hint = f"It belongs to the pack {pack}. " if pack and pack != "comfy-core" else ""
            hint += "It is one of ComfyUI's own, which the headless runner does not have. " if pack == "comfy-core" else ""
            hint += _describe_models(node)
            hint += "Mute or delete the node, or replace it with one that `nodes` lists."
        self._report(kind, what, hint, scope, node)

    def _report_misfit(self, scope: GraphScope, loaded: LoadedNode) -> None:
        properties, what = loaded.node.properties, f"The {loaded.widgets.mismatch}."
        pack, version = str(properties.get("cnr_id") or "version of its pack"), str(properties.get("ver") or "")
        if any(get_widget_type(spec) == "LOAD_3D" for spec in loaded.widgets.specs.values()):
            hint = "Its image is a rendering that only the browser makes: save it in ComfyUI and load it with LoadImage."
        elif loaded.widgets.newer_names:
            owner = "ComfyUI" if pack == "comfy-core" else pack
            what = (
                f"The node was saved by a newer {owner}{f' ({version})' if version else ''} than this runner knows: its class "
            )
            what += f"has no {', '.join(loaded.widgets.newer_names)}."
            hint = "Update the runner, or replace the node with one that `nodes` lists."
        else:
            hint = "Another version of its pack saved the node: open the workflow in ComfyUI, check its values and save it."
        self._report("widgets_values_mismatch", what, hint, scope, loaded.node)

    def _report_lost_values(self, scope: GraphScope, node: UiNode, graph: UiGraph) -> None:
        values = self.subgraphs.find_lost_values(node, graph)
        if not values:
            return
        known = {*self.subgraphs.definitions, *self.subgraphs.workflow.definitions}
        unknown = [inner.type for inner in graph.nodes.values() if not (inner.type in known or is_virtual_node(inner))]
        if unknown:
            what = f"The subgraph's saved values cannot be assigned to its inputs: its node class {unknown[0]!r} is unknown."
            hint = "Save the workflow again with ComfyUI 1.58 or later, which saves their names, or delete the node."
            self._report("widgets_values_mismatch", what, hint, scope, node)
        else:
            what = f"The saved values {shorten_values(values)} belong to no input of the subgraph and are ignored."
            self.notes.append(self._make_problem("ignored_values", what, "", scope, node))

    def _report(self, kind: str, what: str, hint: str, scope: GraphScope, node: UiNode) -> None:
        self.problems.append(self._make_problem(kind, what, hint, scope, node))

    def _make_problem(self, kind: str, what: str, hint: str, scope: GraphScope, node: UiNode) -> Problem:
        return Problem(kind, what, hint, scope.get_execution_id(node), node.type, self._get_title(scope, node))


def _describe_models(node: UiNode) -> str:
    """Return a sentence with the model files in ``properties.models``, which templates have."""
    entries: object = node.properties.get("models")
    models = cast("list[Any]", entries) if isinstance(entries, list) else []
    named_models = [cast("dict[str, Any]", model) for model in models if isinstance(model, dict) and "name" in model]
    texts = [f"{model['name']} ({model.get('directory') or 'models'})" for model in named_models]
    return f"It needs {', '.join(texts)}. " if texts else ""


def _sort_like_browser(prompt: Prompt) -> Prompt:
    """Return the prompt in JavaScript's key order: integers first, ascending, then the others as inserted."""
    return dict(sorted(prompt.items(), key=lambda item: int(item[0]) if item[0].isdecimal() else 2**64))
