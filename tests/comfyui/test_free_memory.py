"""Memory of a card that other models of ComfyUI fill, by its own model management; only the numbers of the driver are fake."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .peer.tree import problem, skip_or_fail, tree

SCRIPT = """
import json, sys, weakref
comfyui, checkout = sys.argv[1:3]
sys.argv = [sys.argv[0], "--cpu"]
sys.path.insert(0, comfyui)
import comfy.options
comfy.options.enable_args_parsing()
import torch
from comfy import model_management, model_patcher
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("bootstrap", f"{checkout}/runtime/bootstrap.py")
bootstrap = module_from_spec(spec)
spec.loader.exec_module(bootstrap)
bootstrap.load_pack()
from upscale8k.nodes.comfyui.comfyui_host import ComfyHost
from upscale8k.runtime.models.load import load_model
from upscale8k.runtime.models.locate import find_model
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.upscale.memory import get_tile_memory
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings, resolve_settings

GPU, GB = torch.device("cuda:0"), 1_000_000_000

class Diffusion(torch.nn.Linear):
    '''Fills 11 of 12 GB while it is loaded; the last 300 MB of them are torch's cache.'''

class Patcher(model_patcher.ModelPatcher):
    def loaded_size(self):
        return 11 * GB * (not unloaded)
    model_size = loaded_size
    def detach(self, unpatch_all=True):
        unloaded.append(self)
    def partially_unload(self, *arguments, **more):
        return 0

unloaded = []
patcher = Patcher(Diffusion(1, 1), load_device=GPU, offload_device=torch.device("cpu"))
loaded = model_management.LoadedModel(patcher)
loaded.real_model = weakref.ref(patcher.model)
loaded.model_finalizer = weakref.finalize(patcher.model, print, "dead")
model_management.current_loaded_models.insert(0, loaded)
stats = {"active_bytes.all.current": 2 * GB, "reserved_bytes.all.current": 2 * GB + 300_000_000}
torch.cuda.memory_stats = lambda device=None: stats
torch.cuda.memory_reserved = lambda device=None: stats["reserved_bytes.all.current"]
torch.cuda.memory_allocated = lambda device=None: stats["active_bytes.all.current"]
torch.cuda.mem_get_info = lambda device=None: (11 * GB if unloaded else GB - 300_000_000, 12 * GB)
torch.cuda.is_available = lambda: True
torch.cuda.device_count = lambda: 1
shown = {"free": get_tile_memory(GPU)}
model = UpscaleModel.from_descriptor(load_model(find_model("realesrgan-x4plus", ())))
wanted = TiledUpscaleSettings("8K", "cuda:0", precision="fp32", backend="torch")
shown["crowded"] = resolve_settings(model, wanted).tiling.tile
ComfyHost().free_memory("cuda:0", 100_000_000)
shown["unloaded for little"] = len(unloaded)
shown["tile"] = resolve_settings(model, wanted, ComfyHost().free_memory).tiling.tile
shown["unloaded"] = len(unloaded)
shown["still loaded"] = len(model_management.current_loaded_models)
print(json.dumps(shown))
"""


@pytest.mark.comfyui
def test_comfyui_unloads_its_models_before_the_tile_is_chosen(root: Path) -> None:
    if reason := problem():
        skip_or_fail(reason)
    command = [sys.executable, "-c", SCRIPT, str(tree()), str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    shown = json.loads(done.stdout.splitlines()[-1])
    assert shown["free"] == 600_000_000  # 0.6 of the free 0.7 GB and of 0.3 GB in torch's cache
    assert (shown["unloaded for little"], shown["unloaded"], shown["still loaded"]) == (0, 1, 0)
    assert shown["crowded"] <= 192
    assert shown["tile"] >= 512
