"""Load ComfyUI node packs of other authors by path, for the headless runner.

::

    with install_stubs(host, builtin_nodes):     the modules that packs import from ComfyUI exist
        pack = load_node_pack(folder, host)      NodePack(name, nodes, titles, rejected_ids, unusable_nodes)
        execute_plan(...)                        with {**builtin_nodes, **pack.nodes} as the catalog

``stubs/`` holds these modules. Folders, devices, progress bars, graph building and the V3 declarations work; every other part
of ComfyUI (models, samplers, the server) can be imported and raises ``HardwareMissing`` when it is called. Outside
``install_stubs`` the stubs are not importable, and a real ComfyUI takes precedence. A pack is code that runs with all rights of
the user. torch is imported when a stub needs it.
"""
