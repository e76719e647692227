"""ComfyUI's module names, each as far as the headless runner can answer it. Written from described behaviour.

Every module answers what it has; ``__getattr__`` gives an ``Absent`` for the rest, which says so when it is used.
"""
