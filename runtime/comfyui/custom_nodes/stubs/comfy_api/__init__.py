"""``comfy_api``: ComfyUI's versioned interface for packs; every version is the latest here."""

from ...missing import make_missing_getattr

__getattr__ = make_missing_getattr("comfy_api")
