"""``comfy_api``: ComfyUI's versioned interface for packs; every version is the latest here."""

from . import latest

input = input_impl = util = v0_0_1 = v0_0_2 = latest
