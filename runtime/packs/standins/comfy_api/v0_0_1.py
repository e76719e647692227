"""``comfy_api.v0_0_1``: the same as the latest."""

from ...absent import absent_attributes
from .latest import IO, UI, ComfyAPI, ComfyAPISync, ComfyExtension, Input, InputImpl, Types, io, ui

__all__ = ["IO", "UI", "ComfyAPI", "ComfyAPISync", "ComfyExtension", "Input", "InputImpl", "Types", "io", "ui"]

__getattr__ = absent_attributes("comfy_api.v0_0_1")
