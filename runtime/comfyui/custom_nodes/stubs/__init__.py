"""Stubs of ComfyUI's modules, as far as the headless runner supports them. Written from described behavior.

``__getattr__`` of each module returns a ``MissingApi`` for everything else, which raises when it is used.
"""
