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
