"""``comfy``: the parts of ComfyUI's engine that image packs need."""

from ...missing import make_missing_getattr

__getattr__ = make_missing_getattr("comfy")
