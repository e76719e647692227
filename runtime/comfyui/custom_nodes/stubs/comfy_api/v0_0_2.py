"""``comfy_api.v0_0_2``: the same as ``latest``."""

from ...missing import make_missing_getattr
from .latest import IO, UI, ComfyAPI, ComfyAPISync, ComfyExtension, Input, InputImpl, Types, io, ui

__all__ = ["IO", "UI", "ComfyAPI", "ComfyAPISync", "ComfyExtension", "Input", "InputImpl", "Types", "io", "ui"]

__getattr__ = make_missing_getattr("comfy_api.v0_0_2")
