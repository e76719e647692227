"""``comfy_api``: the versioned interface of ComfyUI for packs; all versions are the latest here."""

from ...absent import absent_attributes

__getattr__ = absent_attributes("comfy_api")
