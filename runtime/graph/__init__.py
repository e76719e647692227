"""Workflows: read, convert, check, plan and run them. Values on the wires are passed on, never inspected.

::

    read_document(path, read_video_tags) -> Document   a file that holds a workflow
    convert_workflow(ui, definitions)                  a workflow saved by the canvas -> API prompt
    apply_override(prompt, "NODE.INPUT=VALUE")         a copy of the prompt with one value changed
    check_prompt(prompt, catalog)                      all problems at once, by ComfyUI's rules
    make_plan(prompt, catalog)                         a deterministic order that keeps few results in memory
    find_runnable_outputs(prompt, catalog, problems)   the outputs that can run despite problems elsewhere
    execute_plan(plan, catalog)                        events; a result is released after its last reader, or cached
    dry_run(plan, catalog, cache)                      the nodes that a run would call, and those it would not

The catalog of node classes is an argument, ``{class id: class}`` in ComfyUI's V1 contract. The package imports only the
standard library, and networkx when ``make_plan`` is called.
"""

# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from ..lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .check import check_prompt
    from .convert.converter import WorkflowConversion, convert_workflow
    from .definitions import build_declared_classes, describe_classes, get_declared_inputs, get_hidden_inputs, is_output_class
    from .document import EXPORT_HINT, Document, read_document
    from .execute.dynamic_prompt import DynamicPrompt
    from .execute.events import NodeBlocked, NodeCached, NodeFailed, NodeFinished, NodeStarted
    from .execute.executor import dry_run, execute_plan
    from .execute.node_cache import CachedResult, NodeCache
    from .execute.node_call import ExecutionBlocker, NodeResults, current_call
    from .execute.plan import ExecutionPlan, find_runnable_outputs, make_plan
    from .fold_loops import LOOP, link_iteration
    from .overrides import apply_override
    from .prompts import Prompt, find_outputs, find_reachable, format_label, is_link, list_outputs
    from .specs import InputSpec

__getattr__ = lazy_exports(__name__, __file__)
