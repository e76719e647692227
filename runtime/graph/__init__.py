"""Workflows: read, converted, checked, planned and run. No value on a wire is ever looked into.

::

    read(path, film_tags) -> Document  any file that holds a workflow
    convert(ui, definitions)           what the canvas saved -> the API prompt that runs
    apply(prompt, "NODE.INPUT=VALUE")  one value changed
    check(prompt, catalog)             every problem at once, ComfyUI's rules
    plan(prompt, catalog)              a deterministic order that keeps few results alive
    good_outputs(prompt, catalog, ...) what can run although something else has problems
    execute(plan, catalog)             events; results die after their last reader, or go into a Cache
    foresee(plan, catalog, cache)      what a run would call, and what it need not

The catalog of node classes is passed in as a value, ``{class id: class}`` in ComfyUI's V1 contract. This room imports only
networkx (in ``plan``, when it is called) and the standard library.
"""
