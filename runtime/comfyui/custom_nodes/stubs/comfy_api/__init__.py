"""``comfy_api``: the versioned interface of ComfyUI for packs; all versions are the latest here."""

from ...missing import make_missing_getattr

__getattr__ = make_missing_getattr("comfy_api")
