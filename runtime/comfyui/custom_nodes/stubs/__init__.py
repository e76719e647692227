"""Stubs of ComfyUI's modules, as far as the headless runner supports them. Written from described behavior.

Everything else in a module is a ``MissingApi``, which raises when it is used (``stub_modules``).
"""
