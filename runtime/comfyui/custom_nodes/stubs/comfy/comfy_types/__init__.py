"""``comfy.comfy_types``: names of the wire types."""

from ....missing import make_missing_getattr
from .node_typing import IO, CheckLazyMixin, ComfyNodeABC, FileLocator, InputTypeDict

__all__ = ["IO", "CheckLazyMixin", "ComfyNodeABC", "FileLocator", "InputTypeDict"]

__getattr__ = make_missing_getattr("comfy.comfy_types")
