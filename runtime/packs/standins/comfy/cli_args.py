"""``comfy.cli_args``: the options that ComfyUI was started with; none was."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from ...absent import absent_attributes

__getattr__ = absent_attributes("comfy.cli_args")


class _Options:
    """Options that packs look at, with ComfyUI's defaults; all others are off."""

    listen = "127.0.0.1"
    port = 8188
    preview_size = 512
    disable_metadata = False
    multi_user = False
    verbose = "INFO"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


args = _Options()
parser = ArgumentParser()
