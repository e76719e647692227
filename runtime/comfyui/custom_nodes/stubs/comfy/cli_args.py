"""``comfy.cli_args``: ComfyUI's command line options, all at their defaults."""

from argparse import ArgumentParser
from typing import Any


class _Options:
    """Options that packs read, with ComfyUI's defaults; all others are None."""

    force_fp16 = force_fp32 = lowvram = highvram = novram = gpu_only = cpu = disable_xformers = deterministic = False
    disable_smart_memory = force_channels_last = use_sage_attention = use_flash_attention = disable_auto_launch = False
    base_directory: str | None = None
    listen = "127.0.0.1"
    port = 8188
    preview_size = 512
    disable_metadata = False
    multi_user = False
    verbose = "INFO"
    preview_method = "none"
    fast: frozenset[str] = frozenset()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


args = _Options()
parser = ArgumentParser()
