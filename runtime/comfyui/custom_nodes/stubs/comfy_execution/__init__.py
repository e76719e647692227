"""``comfy_execution``: how nodes build graphs and block results."""

from ...missing import make_missing_getattr

__getattr__ = make_missing_getattr("comfy_execution")
