"""``from upscale8k import ...``: the page about it runs, types stay what they were, and importing costs nothing."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch
import upscale8k
from PIL import Image
from upscale8k import Callbacks, measure, models, run_workflow, upscale
from upscale8k.runtime import api
from upscale8k.runtime.api import UpscaleKeywords, UpscaleOptions
from upscale8k.runtime.errors import Cancelled, MediaError, ModelNotFound, WorkflowError

from .metrics.test_image_kind import draw

ROOT = Path(__file__).parents[1]
PAGE = ROOT / ".github/PYTHON_API.md"
PHOTOGRAPH = np.asarray(Image.open(ROOT / "workflows/media/sample.png").convert("RGB"))[96:136, 96:144]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "cache"))
    Image.fromarray(PHOTOGRAPH).save("photo.png")
    return tmp_path


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # an example leaves an image open
def test_the_examples_of_the_page_run(place: Path) -> None:
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) >= 4
    for number, example in enumerate(examples):
        exec(compile(example, f"example {number}", "exec"), {})  # noqa: S102  our own page
    with Image.open(place / "photo_2x.png") as image:
        assert image.size == (96, 80)
    assert not (place / "never.png").exists()
    assert (place / "report/report.html").is_file()


def test_errors_name_the_command_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upscale8k.runtime.cli.program_name.is_checkout", lambda: False)
    with pytest.raises(ModelNotFound, match="with: upscale8k models list"):
        upscale(PHOTOGRAPH, model="nonsense")
    with pytest.raises(WorkflowError, match="with: upscale8k models list") as rejected:
        run_workflow("image_8k", {"UpscaleModel.model": "nonsense"})
    assert "python -m runtime" not in str(rejected.value)


def test_editors_know_the_options_that_there_are() -> None:
    options = get_type_hints(UpscaleKeywords, vars(api))
    assert options == get_type_hints(UpscaleOptions, vars(api))


def test_the_page_lists_what_there_is() -> None:
    names = set(re.findall(r"^\| `(\w+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert names == {*upscale8k._API, "__version__"}
    assert upscale8k.__version__ == "0.1.0"


def test_importing_costs_no_heavy_library() -> None:
    script = """
import sys; sys.path.insert(0, sys.argv[1])
from runtime.bootstrap import load_pack; load_pack()
from upscale8k import Callbacks, compare, measure, models, run_workflow, upscale, __version__
print([name for name in ("torch", "numpy", "av", "cv2", "PIL") if name in sys.modules], __version__)
"""
    done = subprocess.run([sys.executable, "-c", script, str(ROOT)], capture_output=True, text=True, check=True)
    assert done.stdout == "[] 0.1.0\n"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 3), (6, 5, 4)])
def test_an_array_gives_an_array_of_its_type(dtype: Any, shape: tuple[int, ...]) -> None:
    """The null backend repeats pixels, so twice the size is each pixel four times."""
    full = 1.0 if dtype is np.float32 else np.iinfo(dtype).max
    source = (np.random.default_rng(1).random(shape) * full).astype(dtype)
    result = upscale(source, to="4x", model="realesr-animevideov3", backend="null")
    assert result.dtype == dtype
    np.testing.assert_allclose(result, source.repeat(4, 0).repeat(4, 1), rtol=0, atol=1e-6 if dtype is np.float32 else 0)


@pytest.mark.parametrize("shape", [(6, 5, 3), (2, 6, 5, 3)])
def test_a_tensor_gives_a_tensor(shape: tuple[int, ...]) -> None:
    source = torch.rand(shape, dtype=torch.float16)
    result = upscale(source, to="4x", model="realesr-animevideov3", backend="null")
    assert result.dtype == torch.float16
    assert torch.equal(result, source.repeat_interleave(4, -3).repeat_interleave(4, -2))


@pytest.mark.parametrize(("mode", "expected"), [("L", "L"), ("RGBA", "RGBA"), ("P", "RGB"), ("1", "RGB")])
def test_a_pillow_image_gives_one(mode: str, expected: str) -> None:
    source = Image.fromarray(PHOTOGRAPH).convert(mode)
    result = upscale(source, to="4x", model="realesr-animevideov3", backend="null")
    assert (result.mode, result.size) == (expected, (192, 160))


def test_it_is_the_engine_of_the_command_line(place: Path) -> None:
    """Arrays and files go the same way to the same pixels."""
    options: dict[str, Any] = {"to": "2x", "model": "realesr-animevideov3", "precision": "fp32", "device": "cpu"}
    (path,) = upscale(place / "photo.png", place / "out.png", **options)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), upscale(PHOTOGRAPH, **options))


def test_many_files_and_their_failures(place: Path) -> None:
    (place / "damaged.png").write_bytes(b"no image")
    options: dict[str, Any] = {"to": "2x", "backend": "null", "model": "realesr-animevideov3"}
    with pytest.raises(upscale8k.runtime.errors.NodeError, match=r"1 of 2 files failed: .*damaged\.png"):
        upscale([place / "photo.png", place / "damaged.png"], place / "done", **options)
    assert [path.name for path in (place / "done").glob("*.png")] == ["photo.png"]


def test_measuring_arrays() -> None:
    found = measure(PHOTOGRAPH, PHOTOGRAPH)
    assert (found["drift"], found["truth_ssim"], found["truth_psnr_db"]) == (0.0, pytest.approx(1.0), 99.0)


def test_without_a_model_it_looks_at_the_image(tmp_path: Path) -> None:
    drawing = draw()
    for pixels, model in ((PHOTOGRAPH, "a photograph: realesrgan-x4plus."), (drawing, "a drawing: realesrgan-x4plus-anime.")):
        said: list[str] = []
        upscale(pixels, to="2x", backend="null", callbacks=Callbacks(message=said.append))
        assert f"It looks like {model}" in said
    Image.fromarray((drawing * 255).astype(np.uint8)).save(tmp_path / "a.png")
    upscale(tmp_path / "a.png", to="2x", backend="null", callbacks=Callbacks(message=said.append))
    assert said[-2:][0].startswith("It looks like a drawing: realesrgan-x4plus-anime.")
    assert said[-1].startswith("realesrgan-x4plus-anime, 4x, reduced to 1200x800, null in fp32 on cpu")


def test_models_are_those_of_the_catalog() -> None:
    rows = {row.id: row for row in models()}
    assert rows["realesrgan-x4plus"].scale == 4
    assert rows["realesr-animevideov3"].path is not None


def test_a_shipped_workflow_by_name_gives_files_and_messages() -> None:
    said: list[str] = []
    fractions: list[float | None] = []
    callbacks = Callbacks(progress=lambda fraction, label: fractions.append(fraction), message=said.append)
    values = {"LoadImage.image": "photo.png", "TiledUpscale.target": "2x"}
    outcome = run_workflow("image_8k", values, input_dir=".", output_dir="out", backend="null", callbacks=callbacks)
    assert [path.parent.as_posix() for path in outcome.files] == ["out/Upscale8K"]
    with Image.open(outcome.files[0]) as image:
        assert image.size == (96, 80)
    assert fractions[-1] == 1.0


def test_cancel_is_asked_while_an_array_is_computed() -> None:
    with pytest.raises(Cancelled):
        upscale(PHOTOGRAPH, to="2x", model="realesr-animevideov3", callbacks=Callbacks(cancel=lambda: True))


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: upscale("none.png"), MediaError),
        (lambda: upscale(PHOTOGRAPH, model="none"), ModelNotFound),
        (lambda: upscale(PHOTOGRAPH, to="huge", model="realesr-animevideov3"), WorkflowError),
        (lambda: run_workflow("none"), WorkflowError),
    ],
)
def test_errors_are_ours(call: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        call()
