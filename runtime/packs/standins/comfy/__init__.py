"""``comfy``: of ComfyUI's engine only what image packs need is here."""

from ...absent import absent_attributes

__getattr__ = absent_attributes("comfy")
