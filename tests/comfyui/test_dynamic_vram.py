"""ComfyUI's DynamicVRAM and our copies of a network, with ComfyUI's own memory library, which loads without a card."""

import subprocess
import sys
from pathlib import Path

import pytest

from .peer.tree import problem, skip_or_fail, tree

SCRIPT = """
import gc, sys
comfyui, checkout = sys.argv[1:3]
sys.argv = [sys.argv[0], "--cpu"]
sys.path.insert(0, comfyui)
import comfy.options
comfy.options.enable_args_parsing()
import comfy_aimdo.control as control
assert control.init("cuda")
import comfy.model_patcher
import torch
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("bootstrap", f"{checkout}/runtime/bootstrap.py")
bootstrap = module_from_spec(spec)
spec.loader.exec_module(bootstrap)
bootstrap.load_pack()
from upscale8k.runtime.models.load import load_model
from upscale8k.runtime.models.locate import find_model
from upscale8k.runtime.models.onnx_export import export_onnx
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.upscale.backends.torch import TorchBackend
descriptor = load_model(find_model("realesr-animevideov3", ()))
gpu, cpu = torch.device("cuda:0"), torch.device("cpu")
descriptor.patcher = comfy.model_patcher.ModelPatcherDynamic(descriptor.model, load_device=gpu, offload_device=cpu)
assert descriptor.model.dynamic_pins
for way in ["torch", "onnx"] * 3:
    if way == "torch":
        TorchBackend(UpscaleModel.from_descriptor(descriptor), cpu, "fp32").close()
    else:
        export_onnx(UpscaleModel.from_descriptor(descriptor))
    gc.collect()
    assert descriptor.model.dynamic_pins
descriptor.patcher = None
del descriptor
gc.collect()
print("end")
"""


@pytest.mark.comfyui
def test_a_network_with_dynamic_vram_is_copied_and_released_again_and_again(root: Path) -> None:
    """Also by another way than before."""
    if reason := problem():
        skip_or_fail(reason)
    command = [sys.executable, "-c", SCRIPT, str(tree()), str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["end"]), done.stderr[-2000:]
