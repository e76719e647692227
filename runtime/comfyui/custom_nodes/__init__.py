"""Other people's ComfyUI packs, loaded by path for the headless runner.

::

    with stand_in(host, core):             the modules that packs import from ComfyUI are there
        pack = load_pack(folder, host)     Pack(name, nodes, titles, refused)
        execute(...)                       with {**core, **pack.nodes} as the catalog

``standins/`` holds those modules: folders, devices, progress bars, graph building and the V3 declarations are answered with
the host; every other part of ComfyUI (models, samplers, the server) is absent, and says so in one sentence when it is
called, not when it is imported. Outside ``stand_in`` nothing of this is importable, and where a real ComfyUI is, it is used
instead. A pack is code that runs with all rights of the person who asks for it.

torch is imported when a stand-in that needs it is called.
"""
