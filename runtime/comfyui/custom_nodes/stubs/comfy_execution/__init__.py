"""``comfy_execution``: build graphs and block results."""

from ...missing import make_missing_getattr

__getattr__ = make_missing_getattr("comfy_execution")
