"""``comfy``: of ComfyUI's engine only what image packs need is here."""

from ...missing import make_missing_getattr

__getattr__ = make_missing_getattr("comfy")
