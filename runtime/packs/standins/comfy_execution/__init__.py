"""``comfy_execution``: how nodes build graphs and block results."""

from ...absent import absent_attributes

__getattr__ = absent_attributes("comfy_execution")
