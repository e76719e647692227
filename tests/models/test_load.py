import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from skimage import data
from skimage.metrics import peak_signal_noise_ratio
from spandrel import Architecture, ArchRegistry, ArchSupport, ImageModelDescriptor, ModelLoader, SizeRequirements
from spandrel.util import KeyCondition
from upscale8k.runtime.errors import ModelDamaged, ModelNotFound, UnsupportedModel
from upscale8k.runtime.models import load as load_module
from upscale8k.runtime.models.catalog import load_catalog
from upscale8k.runtime.models.load import CACHED_MODELS, get_provenance, load_from_state_dict, load_model
from upscale8k.runtime.models.locate import FoundModel, find_model

from .conftest import in_folder

State = dict[str, torch.Tensor]

WRAPPINGS = {
    "bare": lambda state: state,
    "params": lambda state: {"params": state},
    "params_ema beside params": lambda state: {"params": {}, "params_ema": state},
    "state_dict with a step": lambda state: {"state_dict": state, "global_step": 7},
    "module. prefix": lambda state: {f"module.{key}": value for key, value in state.items()},
    "module. prefix inside params": lambda state: {"params": {f"module.{key}": value for key, value in state.items()}},
}


@pytest.fixture
def official(tmp_path: Path, compact_state: State) -> Path:
    path = tmp_path / "small.pth"
    torch.save({"params_ema": compact_state}, path)
    return path


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy pickle"])
def test_the_ways_that_authors_wrap_weights_all_load(tmp_path: Path, compact_state: State, wrapping: str, zipped: bool) -> None:
    path = tmp_path / "model.pth"
    torch.save(WRAPPINGS[wrapping](compact_state), path, _use_new_zipfile_serialization=zipped)
    descriptor = load_model(in_folder(path))
    loaded = descriptor.model.state_dict()
    assert loaded.keys() == compact_state.keys()
    assert all(torch.equal(loaded[key], compact_state[key]) for key in loaded)


@pytest.mark.parametrize("name", ["model.safetensors", "model.sft", "really_safetensors.pth"])
def test_safetensors_load_whatever_they_are_called(tmp_path: Path, compact_state: State, name: str) -> None:
    path = tmp_path / name
    save_file(compact_state, path)
    assert load_model(in_folder(path)).architecture.id == "Compact"


def test_a_torch_checkpoint_may_be_called_bin(tmp_path: Path, compact_state: State) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(compact_state, path)
    assert load_model(in_folder(path)).scale == 2


def test_half_precision_weights_become_float32(tmp_path: Path, compact_state: State) -> None:
    path = tmp_path / "half.safetensors"
    save_file({key: value.half() for key, value in compact_state.items()}, path)
    assert load_model(in_folder(path)).dtype == torch.float32


def test_the_value_is_spandrels_own_and_ready_to_run(official: Path) -> None:
    descriptor = load_model(in_folder(official))
    assert isinstance(descriptor, ImageModelDescriptor)
    assert descriptor.device.type == "cpu"
    assert not descriptor.model.training
    assert not any(parameter.requires_grad for parameter in descriptor.model.parameters())
    image = torch.rand(1, 3, 9, 7)
    assert torch.equal(descriptor(image), ModelLoader().load_from_file(official).eval()(image))


def test_it_says_where_it_came_from(official: Path) -> None:
    provenance = get_provenance(load_model(in_folder(official)))
    assert provenance is not None
    assert (provenance.path, provenance.source, provenance.entry) == (official, "folder", None)


def test_the_hash_and_licence_of_a_dependency_are_stated() -> None:
    located = find_model("realesr-animevideov3", [])
    provenance = get_provenance(load_model(located))
    assert provenance is not None
    # sha256sum of REALESRGAN_ANIMAVIDEOV3_UP4X.bin in the 1.0.1 wheel.
    assert provenance.sha256 == "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d"
    assert provenance.licence == "BSD-3-Clause"


def test_a_descriptor_of_another_loader_has_no_provenance(official: Path) -> None:
    assert get_provenance(ModelLoader().load_from_file(official)) is None


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.filterwarnings("ignore:torch.meshgrid")
def test_real_transformer_weights_load_and_enlarge_better_than_bicubic(dat_folder: Path, scale: int) -> None:
    descriptor = load_model(find_model(f"DAT_light_x{scale}.pth", [dat_folder]))
    assert (descriptor.architecture.id, descriptor.scale) == ("DAT", scale)
    side = 32 * scale
    truth = torch.from_numpy(data.astronaut()[60 : 60 + side, 180 : 180 + side].astype(np.float32) / 255).permute(2, 0, 1)[None]
    small = torch.nn.functional.interpolate(truth, scale_factor=1 / scale, mode="bicubic", antialias=True).clamp(0, 1)
    bicubic = torch.nn.functional.interpolate(small, scale_factor=scale, mode="bicubic").clamp(0, 1)
    network, plain = (peak_signal_noise_ratio(truth.numpy(), given.numpy()) for given in (descriptor(small), bicubic))
    assert network > plain + 1


# What is not weights.


class Payload:
    """Unpickles to ``open(path, "w")``: a file on the disk of whoever reads it without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("form", ["zip", "legacy", "bare pickle", "protocol 0"])
def test_a_pickle_with_code_in_it_is_refused_and_not_run(tmp_path: Path, compact_state: State, form: str) -> None:
    trace, path = tmp_path / "trace", tmp_path / "evil.pth"
    content = {"params": compact_state, "note": Payload(trace)}
    if form in ("zip", "legacy"):
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    else:
        path.write_bytes(pickle.dumps({"note": Payload(trace)}, protocol=0 if form == "protocol 0" else 4))
    with pytest.raises(ModelDamaged, match=r"evil\.pth"):
        load_model(in_folder(path))
    assert not trace.exists()


def test_the_sentence_about_code_names_what_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"note": Payload(tmp_path / "trace")}, path)
    with pytest.raises(ModelDamaged, match=r"open, which is code .* tensors only\. It was not run"):
        load_model(in_folder(path))


def test_a_torchscript_program_is_refused(official: Path) -> None:
    with zipfile.ZipFile(official, "a") as archive:
        archive.writestr("small/constants.pkl", b"\x80\x02).")
        archive.writestr("small/code/__torch__.py", b"")
    with pytest.raises(ModelDamaged, match="TorchScript program"):
        load_model(in_folder(official))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "is a web page"),
        (b"\n  <html>sign in</html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4fa0d389\nsize 67040989\n", "Git LFS pointer"),
        (b"just some text that a user saved", "neither a safetensors file nor a torch checkpoint"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "neither a safetensors file nor a torch checkpoint"),
        (b"PK\x03\x04" + bytes(50), "truncated or damaged"),
        (b"\x80\x02", "truncated"),
        (b"\xff" * 64, "neither a safetensors file nor a torch checkpoint"),
    ],
)
@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
def test_what_is_no_model_gets_a_sentence(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelDamaged, match=sentence) as caught:
        load_model(in_folder(path))
    assert name in caught.value.what
    assert caught.value.path == path


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.99])
def test_a_truncated_file_is_damaged(tmp_path: Path, compact_state: State, form: str, part: float) -> None:
    path = tmp_path / "cut.pth"
    if form == "safetensors":
        save_file(compact_state, path)
    else:
        torch.save(compact_state, path, _use_new_zipfile_serialization=form == "zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(ModelDamaged, match=r"cut\.pth"):
        load_model(in_folder(path))


def test_a_file_that_went_away_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="does not exist any more"):
        load_model(in_folder(tmp_path / "gone.pth"))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(ModelDamaged, match=r"folder\.pth cannot be read"):
        load_model(in_folder(tmp_path / "folder.pth"))


def test_another_kind_of_network_is_unsupported_and_its_keys_are_named(tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    save_file({f"lora_unet_{index}.alpha": torch.ones(1) for index in range(8)}, path)
    with pytest.raises(UnsupportedModel, match=r"lora_unet_0\.alpha, .* and 3 more"):
        load_model(in_folder(path))


@pytest.mark.parametrize("content", [torch.ones(3), [1, 2], {}, {"a": 1}, {1: torch.ones(1)}, {"params": {"a": "text"}}])
def test_a_checkpoint_without_a_table_of_tensors_is_unsupported(tmp_path: Path, content: object) -> None:
    path = tmp_path / "odd.pth"
    torch.save(content, path)
    with pytest.raises(UnsupportedModel, match=r"odd\.pth"):
        load_model(in_folder(path))


@pytest.mark.parametrize("change", ["missing", "shape"])
def test_a_known_network_with_tensors_that_do_not_fit_is_damaged(tmp_path: Path, compact_state: State, change: str) -> None:
    if change == "missing":
        del compact_state["body.2.weight"]
    else:
        compact_state["body.2.weight"] = torch.ones(4, 5, 3, 3)
    path = tmp_path / "odd.safetensors"
    save_file(compact_state, path)
    with pytest.raises(ModelDamaged, match=r"tensors do not fit together .*body\.2\.weight"):
        load_model(in_folder(path))


def test_a_model_for_faces_is_refused(tmp_path: Path, compact_state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """A face restorer wants one aligned face of 512 pixels; tiles of an image would come out garbled."""

    class FaceArchitecture(Architecture[torch.nn.Module]):
        def __init__(self) -> None:
            super().__init__(id="Face", detect=lambda state: True)

        def load(self, state_dict: State) -> ImageModelDescriptor[torch.nn.Module]:
            network = torch.nn.Conv2d(3, 3, 1)
            return ImageModelDescriptor(network, network.state_dict(), self, "FaceSR", [], True, True, 1, 3, 3)

    registry = ArchRegistry()
    registry.add(ArchSupport.from_architecture(FaceArchitecture()))
    monkeypatch.setattr(load_module, "_REGISTRY", registry)
    path = tmp_path / "face.safetensors"
    save_file(compact_state, path)
    with pytest.raises(UnsupportedModel, match="is a FaceSR model"):
        load_model(in_folder(path))


# What stays loaded.


def test_the_same_file_is_read_once(official: Path) -> None:
    assert load_model(in_folder(official)) is load_model(FoundModel("another name", None, official, "folder"))


def test_a_changed_file_is_read_again(official: Path, compact_state: State) -> None:
    before = load_model(in_folder(official))
    torch.save({key: value * 2 for key, value in compact_state.items()}, official)
    os.utime(official, ns=(1, 1))
    after = load_model(in_folder(official))
    assert not torch.equal(before.model.state_dict()["body.0.weight"], after.model.state_dict()["body.0.weight"])


def test_weights_that_a_node_loads_can_be_changed_outside_of_its_inference_mode(official: Path) -> None:
    with torch.inference_mode():
        descriptor = load_model(in_folder(official))
    assert not any(weight.is_inference() for weight in descriptor.model.state_dict().values())
    descriptor.model.load_state_dict(descriptor.model.state_dict())


def test_a_model_that_a_caller_made_half_precision_is_read_again(official: Path) -> None:
    load_model(in_folder(official)).half()
    assert load_model(in_folder(official)).dtype == torch.float32


def test_only_the_last_few_models_stay_loaded(tmp_path: Path, compact_state: State) -> None:
    paths = [tmp_path / f"{index}.safetensors" for index in range(CACHED_MODELS + 1)]
    for path in paths:
        save_file(compact_state, path)
    first = load_model(in_folder(paths[0]))
    last = [load_model(in_folder(path)) for path in paths[1:]]
    assert all(load_model(in_folder(path)) is kept for path, kept in zip(paths[1:], last, strict=True))
    assert load_model(in_folder(paths[0])) is not first


def test_a_file_is_reported_under_the_known_model_that_its_name_claims(tmp_path: Path, compact_state: State) -> None:
    path = tmp_path / "BSRGAN.pth"
    torch.save(compact_state, path)
    provenance = get_provenance(load_model(find_model("bsrgan-x4", [tmp_path])))
    assert provenance is not None
    assert provenance.entry is load_catalog()["bsrgan-x4"]


def test_a_network_of_thousands_of_blocks_that_are_one_number_is_refused_before_it_is_built(tmp_path: Path) -> None:
    """It took two minutes and 10 GB."""
    path = tmp_path / "blocks.pth"
    one = torch.zeros(1)
    state = {"conv_first.weight": one.expand(64, 3, 3, 3), "conv_last.weight": one.expand(3, 64, 3, 3)}
    for block in range(500):
        for part in range(1, 4):
            for conv in range(1, 6):
                shape = (64 if conv == 5 else 32, 64 + 32 * (conv - 1), 3, 3)
                state[f"RRDB_trunk.{block}.RDB{part}.conv{conv}.weight"] = one.expand(shape)
    torch.save(state, path)
    with pytest.raises(ModelDamaged, match=r"claims 7502 tensors of \d+ bytes in all, more than a model has"):
        load_model(in_folder(path))
    with pytest.raises(ModelDamaged, match="claims 20001 tensors"):
        load_from_state_dict({str(number): one for number in range(20_001)}, "memory")


class ToyNetwork(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.toy = torch.nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.toy(image)


class ToyArchitecture(Architecture[ToyNetwork]):
    def __init__(self) -> None:
        super().__init__(id="Toy", detect=KeyCondition.has_all("toy.weight"))

    def load(self, state_dict: dict[str, torch.Tensor]) -> ImageModelDescriptor[ToyNetwork]:
        return ImageModelDescriptor(ToyNetwork(), state_dict, self, "Restoration", [], True, True, 1, 3, 3, SizeRequirements())


def test_networks_of_the_extra_package_load_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = ToyNetwork()
    save_file(network.state_dict(), tmp_path / "1x-toy.safetensors")
    monkeypatch.setitem(sys.modules, "spandrel_extra_arches", None)
    with pytest.raises(UnsupportedModel, match="contains no known super-resolution model") as caught:
        load_module._load_uncached(in_folder(tmp_path / "1x-toy.safetensors"))
    assert "pip install upscale8k[extra-arches]" in caught.value.hint
    assert "may not be used commercially" in caught.value.hint
    extra = ModuleType("spandrel_extra_arches")
    extra.EXTRA_REGISTRY = ArchRegistry()  # type: ignore[attr-defined]
    extra.EXTRA_REGISTRY.add(ArchSupport.from_architecture(ToyArchitecture()))
    monkeypatch.setitem(sys.modules, "spandrel_extra_arches", extra)
    loaded = load_module._load_uncached(in_folder(tmp_path / "1x-toy.safetensors"))
    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(loaded.model(image), network(image))


_SRFORMER = """
import sys, torch
sys.path[:0] = sys.argv[1:3]
from runtime.bootstrap import load_pack
load_pack()
from pathlib import Path
from safetensors.torch import save_file
from spandrel_extra_arches.architectures.SRFormer import SRFormer
from upscale8k.runtime.models import FoundModel, UpscaleModel, load_model
network = SRFormer(upscale=2, depths=[2], embed_dim=12, num_heads=[2], window_size=8, upsampler="pixelshuffledirect").eval()
path = Path(sys.argv[2], "2x.safetensors")
save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)
loaded = load_model(FoundModel("2x", None, path, "folder"))
image = torch.rand(1, 3, 16, 16)
with torch.inference_mode():
    assert torch.equal(loaded.model(image), network(image))
print(UpscaleModel.from_descriptor(loaded).architecture, loaded.scale)
"""


@pytest.mark.full  # installs a package
def test_the_real_extra_package_loads_srformer(tmp_path: Path, root: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", tmp_path, "spandrel_extra_arches==0.2.0"]
    subprocess.run(install, check=True, timeout=300)
    script = [sys.executable, "-W", "ignore", "-c", _SRFORMER, root, tmp_path]
    done = subprocess.run(script, check=True, timeout=300, capture_output=True, text=True)
    assert done.stdout.split() == ["SRFormer", "2"]
