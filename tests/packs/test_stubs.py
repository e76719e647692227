"""What the stubs return, and that their signatures are those of ComfyUI's functions."""

import ast
import importlib
import inspect
import operator
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from PIL import Image
from upscale8k.nodes import get_node_classes
from upscale8k.runtime.comfyui.builtin.image_scale import resize_images
from upscale8k.runtime.comfyui.custom_nodes.stub_modules import install_stubs
from upscale8k.runtime.errors import Cancelled, HardwareMissing, MediaError, ModelDamaged, OutputError
from upscale8k.runtime.graph.execute.node_call import CurrentCall, current_call
from upscale8k.runtime.host import LocalHost

from ..comfyui.peer.tree import require_tree

FILES = {
    "folder_paths": "folder_paths.py",
    "node_helpers": "node_helpers.py",
    "comfy.utils": "comfy/utils.py",
    "comfy.model_management": "comfy/model_management.py",
    "comfy_execution.graph_utils": "comfy_execution/graph_utils.py",
}


@pytest.fixture
def comfy(host: LocalHost) -> Iterator[Any]:
    """Imports a stub."""
    with install_stubs(host):
        yield importlib.import_module


def functions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + statement.name, statement
        elif isinstance(statement, ast.ClassDef):
            yield from functions(statement.body, f"{prefix}{statement.name}.")


@pytest.mark.comfyui
@pytest.mark.parametrize("name", FILES)
def test_every_function_takes_what_comfyuis_own_takes(comfy: Any, name: str) -> None:
    """By position and by name, so that no call of a pack fails on its arguments."""
    source = (require_tree() / FILES[name]).read_text(encoding="utf-8")
    theirs = dict(functions(ast.parse(source).body))
    module = comfy(name)
    compared = 0
    for path, ours in functions(ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body):
        if path.startswith("_") or "._" in path or path not in theirs:
            continue
        compared += 1
        wanted = [argument.arg for argument in theirs[path].args.args]
        if ours.args.vararg and ours.args.kwarg:
            continue
        assert [argument.arg for argument in ours.args.args] == wanted, path
        assert len(ours.args.defaults) >= len(theirs[path].args.defaults), path
    assert compared >= 4


@pytest.mark.comfyui
def test_every_type_of_a_v3_declaration_has_comfyuis_name(comfy: Any) -> None:
    source = (require_tree() / "comfy_api" / "latest" / "_io.py").read_text(encoding="utf-8")
    theirs = {
        cls.name: ast.literal_eval(word.value)
        for cls in ast.parse(source).body
        if isinstance(cls, ast.ClassDef)
        for call in cls.decorator_list
        if isinstance(call, ast.Call)
        for word in call.keywords
        if word.arg == "io_type"
    }
    io = comfy("comfy_api.latest").io
    inputs = {name: getattr(io, name).Input.io_type for name in theirs if name != "DynamicSlot"}
    assert inputs == {name: kind for name, kind in theirs.items() if name != "DynamicSlot"}


def test_where_a_image_is_saved(comfy: Any, host: LocalHost) -> None:
    """The names that ComfyUI 0.30 gives: the counter after the highest, case of the prefix kept, tokens replaced."""
    folder_paths = comfy("folder_paths")
    (host.output_dir / "sub").mkdir()
    (host.output_dir / "sub" / "pic_64_00041_.png").touch()
    saved = folder_paths.get_save_image_path("sub/pic_%width%", str(host.output_dir), 64, 32)
    assert saved == (str(host.output_dir / "sub"), "pic_64", 42, "sub", "sub/pic_64")
    assert folder_paths.get_save_image_path("new", str(host.output_dir))[1:4] == ("new", 1, "")
    with pytest.raises(OutputError, match="outside"):
        folder_paths.get_save_image_path("../x", str(host.output_dir))


def test_files_are_found_inside_their_folders_only(comfy: Any, host: LocalHost) -> None:
    folder_paths = comfy("folder_paths")
    (host.input_dir / "a.png").touch()
    assert folder_paths.get_annotated_filepath("a.png") == str(host.input_dir / "a.png")
    assert folder_paths.get_annotated_filepath("b.png [output]") == str(host.output_dir / "b.png")
    assert folder_paths.exists_annotated_filepath("a.png")
    assert not folder_paths.exists_annotated_filepath("../models/x")
    with pytest.raises(MediaError, match="outside"):
        folder_paths.get_annotated_filepath("../a.png")


def test_packs_may_add_folders_and_list_them(comfy: Any, host: LocalHost, tmp_path: Path) -> None:
    folder_paths = comfy("folder_paths")
    fonts = tmp_path / "fonts"
    (fonts / "sub").mkdir(parents=True)
    (fonts / "sub" / "a.ttf").touch()
    assert "some_fonts" not in folder_paths.folder_names_and_paths
    folder_paths.add_model_folder_path("some_fonts", str(fonts))
    assert folder_paths.get_filename_list("some_fonts") == [str(Path("sub/a.ttf"))]
    assert folder_paths.get_full_path("some_fonts", "sub/a.ttf") == str(fonts / "sub" / "a.ttf")
    assert folder_paths.get_full_path("some_fonts", "../x") is None
    (host.models_dirs[0] / "x2.pth").touch()
    (host.models_dirs[0] / "readme.md").touch()
    assert folder_paths.get_filename_list("upscale_models") == ["x2.pth"]
    assert Path(folder_paths.models_dir) == host.models_dirs[0]


@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"])
@pytest.mark.parametrize("crop", ["disabled", "center"])
def test_resizing_gives_the_pixels_of_our_core_nodes(comfy: Any, method: Any, crop: str) -> None:
    """Those are compared with the real ComfyUI in tests/comfyui."""
    image = torch.rand(2, 3, 20, 31, generator=torch.Generator().manual_seed(1))
    ours = comfy("comfy.utils").common_upscale(image, 16, 24, method, crop)
    expected = resize_images(image.movedim(1, -1), 16, 24, method, crop=crop == "center")
    assert torch.equal(ours.movedim(1, -1), expected)


def test_weights_are_read_as_tensors_only(comfy: Any, tmp_path: Path) -> None:
    utils = comfy("comfy.utils")
    tensors = {"a": torch.arange(4.0)}
    utils.save_torch_file(tensors, str(tmp_path / "w.safetensors"), metadata={"by": "me"})
    read, metadata = utils.load_torch_file(str(tmp_path / "w.safetensors"), return_metadata=True)
    assert torch.equal(read["a"], tensors["a"])
    assert metadata == {"by": "me"}
    torch.save({"state_dict": tensors}, tmp_path / "w.pth")
    assert list(utils.load_torch_file(str(tmp_path / "w.pth"))) == ["a"]
    torch.save({"run": LocalHost}, tmp_path / "bomb.pth")
    with pytest.raises(ModelDamaged, match=r"bomb\.pth does not contain plain tensors"):
        utils.load_torch_file(str(tmp_path / "bomb.pth"), safe_load=False)


def test_progress_reaches_the_display_in_thousandths(tmp_path: Path) -> None:
    seen: list[Any] = []

    class Bar:
        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: object) -> None:
            seen.append("closed")

        def advance(self, steps: int = 1) -> None:
            seen.append(steps)

        def say(self, text: str) -> None:
            raise AssertionError(text)

    with install_stubs(LocalHost(show_progress=lambda total, unit: seen.append(total) or Bar())):
        bar = importlib.import_module("comfy.utils").ProgressBar(2.5)
        bar.update_absolute(1.25)
        bar.update(5)
    assert seen == [1000, 500, 500, "closed"]


def test_a_builders_ids_begin_with_the_call_that_builds(comfy: Any) -> None:
    builder = comfy("comfy_execution.graph_utils").GraphBuilder
    token = current_call.set(CurrentCall("7.2", 3))
    try:
        first, second = builder(), builder()
    finally:
        current_call.reset(token)
    one = first.node("A", x=1)
    other = second.node("B", "named", x=one.out(0), y=one.out(1))
    assert (one.id, other.id) == ("7.2.3.0.1", "7.2.3.1.named")
    assert second.node("B", "named") is other
    assert second.lookup_node("named") is other
    other.set_override_display_id("5")
    other.set_input("y", None)
    assert second.finalize() == {
        "7.2.3.1.named": {"class_type": "B", "inputs": {"x": ["7.2.3.0.1", 0]}, "override_display_id": "5"}
    }
    assert builder(prefix="p").node("A").id == "p1"


def test_a_type_name_is_not_different_from_one_that_holds_it(comfy: Any) -> None:
    io = comfy("comfy.comfy_types").IO
    assert io.ANY == "*"
    different = operator.ne  # the operator that ComfyUI compares types with
    assert not different(io.ANY, "IMAGE")
    assert not different(io.NUMBER, "INT")
    assert different(io.NUMBER, "IMAGE")
    assert str(io.IMAGE) == "IMAGE"


def test_a_node_may_stop_the_run(comfy: Any) -> None:
    with pytest.raises(Cancelled):
        comfy("nodes").interrupt_processing()
    assert not inspect.isabstract(comfy("comfy.model_management").InterruptProcessingException)


def test_the_device_is_the_one_of_the_command_line(host: LocalHost) -> None:
    host.device_name = "cpu"
    with install_stubs(host):
        management = importlib.import_module("comfy.model_management")
        assert management.get_torch_device() == torch.device("cpu")
        assert 0 < management.get_free_memory() <= management.get_total_memory()


def test_packs_make_and_recognise_videos(comfy: Any, tmp_path: Path) -> None:
    latest: Any = comfy("comfy_api.latest")
    components = latest.Types.VideoComponents(images=torch.rand(3, 32, 48, 3), frame_rate=Fraction(10))
    made = latest.InputImpl.VideoFromComponents(components)
    made.save_to(str(tmp_path / "clip.mp4"), format=latest.Types.VideoContainer.MP4, codec=latest.Types.VideoCodec.H264)
    read = comfy("comfy_api.input_impl").VideoFromFile(str(tmp_path / "clip.mp4"))
    with av.open(tmp_path / "clip.mp4") as container:
        assert len(list(container.decode(video=0))) == 3
    assert read.get_dimensions() == (48, 32)
    for video in (made, read):
        assert isinstance(video, comfy("comfy_api.input").VideoInput)
        assert isinstance(video, latest.InputImpl.VideoFromFile) == (video is read)
    assert not isinstance(components, latest.Input.Video)


def test_a_pack_may_write_a_video_class_of_its_own(comfy: Any) -> None:
    latest: Any = comfy("comfy_api.latest")

    class Video(latest.Input.Video):
        def get_components(self) -> Any:
            return latest.Types.VideoComponents(images=torch.zeros(5, 32, 48, 3), frame_rate=Fraction(2))

    video = Video()
    assert (video.get_dimensions(), video.get_frame_count(), video.get_duration()) == ((48, 32), 5, 2.5)


def test_a_v3_node_saves_images_as_core_does(host: LocalHost) -> None:
    with install_stubs(host, get_node_classes(host)):
        ui: Any = importlib.import_module("comfy_api.latest").ui
        saved = ui.ImageSaveHelper.get_save_images_ui(torch.full((2, 4, 6, 3), 0.3), "sub/name").as_dict()
        shown = ui.PreviewImage(torch.zeros(1, 4, 6, 3)).as_dict()
    names = [f"name_0000{number}_.png" for number in (1, 2)]
    assert saved == {"images": [{"filename": name, "subfolder": "sub", "type": "output"} for name in names]}
    assert [one["type"] for one in shown["images"]] == ["temp"]
    with Image.open(host.output_dir / "sub" / names[1]) as image:
        assert image.getpixel((5, 3)) == (76, 76, 76)


def test_folders_that_packs_look_for_are_there(comfy: Any, host: LocalHost) -> None:
    paths: Any = comfy("folder_paths")
    assert paths.output_directory == str(host.output_dir.resolve())
    assert [paths.get_filename_list(name) for name in ("configs", "diffusers", "detection")] == [[], [], []]
    assert set(paths.folder_names_and_paths) >= {"checkpoints", "custom_nodes", "upscale_models"}
    assert not hasattr(paths, "folder_of_a_later_comfyui")
    assert not hasattr(comfy("nodes"), "FormatsOfSomePack")


def test_sampler_names_are_there_and_sampling_is_not(comfy: Any) -> None:
    samplers: Any = comfy("comfy.samplers")
    assert {"euler", "dpmpp_2m", "ddim"} <= set(samplers.KSampler.SAMPLERS)
    assert "karras" in samplers.KSampler.SCHEDULERS
    with pytest.raises(HardwareMissing, match=r"comfy\.samplers\.KSampler is a part of ComfyUI"):
        samplers.KSampler(None)
