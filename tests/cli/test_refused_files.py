"""Images, models and folders that cannot be used: a sentence, exit code 2, and nothing under a final name."""

import os
import pickle
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from .conftest import NULL, Place, Prompt, noise


def load(prompt: Prompt, image: str) -> Prompt:
    prompt["1"]["inputs"]["image"] = image
    return prompt


def use(prompt: Prompt, model: str) -> Prompt:
    prompt["2"]["inputs"]["model"] = model
    return prompt


def save_as(prompt: Prompt, prefix: str) -> Prompt:
    prompt["4"]["inputs"]["filename_prefix"] = prefix
    return prompt


# Images.


def test_a_missing_image_names_the_folder_and_the_option(place: Place, prompt: Prompt) -> None:
    folder = place.folder / "input"
    place.refuses(
        place.run(load(prompt, "gone.png")),
        "node 1 (LoadImage)",
        f"'gone.png' is not in the input folder {folder}",
        "--input-dir",
    )


def test_an_input_folder_that_does_not_exist_is_said_to_be_none(place: Place, prompt: Prompt) -> None:
    place.refuses(place.run(prompt, "--input-dir", "gone"), f"{place.folder / 'gone'}, which does not exist")


@pytest.mark.parametrize("node", ["LoadImage", "ImageIn"])
def test_a_truncated_image(place: Place, prompt: Prompt, node: str) -> None:
    whole = Path("input/a.png").read_bytes()
    Path("input/cut.png").write_bytes(whole[: len(whole) * 2 // 3])
    prompt["1"]["class_type"] = node
    place.refuses(place.run(load(prompt, "cut.png")), f"node 1 ({node})", "cut.png", "truncated", "export it again")


@pytest.mark.parametrize("node", ["LoadImage", "ImageIn"])
@pytest.mark.parametrize(
    ("content", "sentence"), [(b"dear diary", "it is text"), (b"", "empty"), (b"\0\0\0\x18ftypmp42\0\0\0\0", "a video")]
)
def test_a_file_that_is_named_png_and_is_none(place: Place, prompt: Prompt, node: str, content: bytes, sentence: str) -> None:
    Path("input/text.png").write_bytes(content)
    prompt["1"]["class_type"] = node
    place.refuses(place.run(load(prompt, "text.png")), f"node 1 ({node})", "text.png", sentence)


@pytest.mark.parametrize("node", ["LoadImage", "ImageIn"])
def test_a_decompression_bomb_is_told_the_limit_and_the_option(place: Place, prompt: Prompt, node: str) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1_000_000))
    Path("input/bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )
    prompt["1"]["class_type"] = node
    place.refuses(place.run(load(prompt, "bomb.png")), "bomb.png", "100000x100000", "1,000,000,000", "--max-pixels 10000000000")


@pytest.mark.parametrize("node", ["LoadImage", "ImageIn"])
def test_max_pixels_moves_the_limit_down_and_up(place: Place, prompt: Prompt, node: str) -> None:
    prompt["1"]["class_type"] = node
    place.refuses(place.run(prompt, "--max-pixels", 191), "16x12 = 192 pixels; the limit is 191", "--max-pixels 192")
    assert place.run(prompt, "--max-pixels", 192).code == 0


# Models.


def test_a_missing_model_names_the_line_that_gets_it(place: Place, prompt: Prompt) -> None:
    place.refuses(
        place.run(use(prompt, "swinir-l-x4")),
        "node 2 (UpscaleModel), input model",
        str(place.folder / "models"),
        "python -m runtime models pull swinir-l-x4",
    )


def test_a_misspelt_model_is_corrected_before_anything_runs(place: Place, prompt: Prompt) -> None:
    Path("input/a.png").write_text("the check comes before this is looked at")
    said = place.refuses(place.run(use(prompt, "realesr-animevideo3")), "Did you mean realesr-animevideov3")
    assert "node 1" not in said


@pytest.mark.parametrize("name", ["bad.pth", "bad.safetensors", "bad.bin"])
def test_a_damaged_model_is_named(place: Place, prompt: Prompt, name: str) -> None:
    Path("models", name).write_bytes(b"PK\x03\x04 and no more" if name == "bad.pth" else b"\x99" * 64)
    place.refuses(place.run(use(prompt, name)), "node 2 (UpscaleModel)", f"models/{name}", "Get the file again")


class Payload:
    """Unpickles to a command that leaves a file."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch pwned",)


@pytest.mark.parametrize("form", ["checkpoint", "pickle of protocol 2", "pickle of protocol 5"])
def test_a_pickle_with_code_is_refused_and_not_run(place: Place, prompt: Prompt, form: str) -> None:
    path = Path("models/evil.pth")
    if form == "checkpoint":
        torch.save({"params": Payload()}, path)
    else:
        path.write_bytes(pickle.dumps(Payload(), protocol=int(form[-1])))
    answer = place.run(use(prompt, "evil.pth"))
    place.refuses(answer, "node 2 (UpscaleModel)", "models/evil.pth")
    assert len(answer.err.splitlines()) == 1  # and no word of torch's own
    assert not Path("pwned").exists()


@pytest.mark.parametrize("name", ["../a.pth", "/etc/a.pth", "a\0.pth"])
def test_a_model_outside_the_models_folders(place: Place, prompt: Prompt, name: str) -> None:
    place.refuses(place.run(use(prompt, name)), "node 2", "not the name of a file inside a models folder")


# Paths.


@pytest.mark.parametrize("node", ["LoadImage", "ImageIn"])
@pytest.mark.parametrize("name", ["../secret.png", "{here}/secret.png", "link.png", "linked/secret.png", "a\0.png", "{long}"])
def test_a_image_outside_the_input_folder(place: Place, prompt: Prompt, node: str, name: str) -> None:
    Path("secret.png").write_bytes(Path("input/a.png").read_bytes())
    Path("input/link.png").symlink_to(place.folder / "secret.png")
    Path("input/linked").symlink_to(place.folder)
    prompt["1"]["class_type"] = node
    name = name.format(here=place.folder, long="x" * 5000 + ".png")
    place.refuses(place.run(load(prompt, name)), f"node 1 ({node})", f"input folder {place.folder / 'input'}")


@pytest.mark.parametrize("node", ["SaveImage", "ImageOut"])
@pytest.mark.parametrize("name", ["../result", "{here}/result", "linked/result", "sub/../../result", "a\0"])
def test_a_result_outside_the_output_folder_is_refused_before_any_work(
    place: Place, prompt: Prompt, node: str, name: str
) -> None:
    Path("output/linked").symlink_to(place.folder)
    Path("input/a.png").write_text("work would begin with this, and fail")
    prompt["4"] = {
        "class_type": node,
        "inputs": {
            "images": ["3", 0],
            "filename_prefix" if node == "SaveImage" else "filename": name.format(here=place.folder),
        },
    }
    place.refuses(place.run(prompt), f"node 4 ({node})", f"outside the output folder {place.folder / 'output'}", "sub/name")


# Output.


@pytest.mark.parametrize("folder", ["a-file", "a-file/below"])
def test_an_output_folder_that_is_a_file_is_refused_before_any_work(place: Place, prompt: Prompt, folder: str) -> None:
    Path("a-file").write_text("in the way")
    Path("input/a.png").write_text("work would begin with this, and fail")
    place.refuses(
        place.run(prompt, "--output-dir", folder), "node 4 (SaveImage)", str(place.folder / folder), "is a file", "--output-dir"
    )
    assert Path("a-file").read_text() == "in the way"


@pytest.mark.parametrize("folder", ["locked", "locked/below"])
def test_an_output_folder_that_may_not_be_written(
    place: Place, prompt: Prompt, folder: str, lock_folder: Callable[[Path], None]
) -> None:
    Path("locked").mkdir()
    lock_folder(Path("locked"))
    place.refuses(place.run(prompt, "--output-dir", folder), "node 4", str(place.folder / "locked"), "--output-dir")


@contextmanager
def file_size_limit(size: int) -> Generator[None]:
    """No file may grow beyond ``size`` bytes: what a full disk is like, for this process alone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "avif", "exr", "jxl"])
def test_a_disk_that_fills_up_leaves_nothing_half_written(place: Place, suffix: str) -> None:
    place.image("large.png", noise(200, 200))
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "large.png"}},
        "2": {"class_type": "ImageOut", "inputs": {"images": ["1", 0], "filename": f"result.{suffix}"}},
    }
    path = place.save(prompt)
    with file_size_limit(4096):
        answer = place("run", path, *NULL)
    place.refuses(answer, "node 2 (ImageOut)", f"{place.folder}/output/result_00001_.{suffix} cannot be written")
    assert place("run", path, *NULL).new == [f"output/result_00001_.{suffix}"]


def test_a_disk_that_fills_up_leaves_what_was_there_before(place: Place) -> None:
    place.image("large.png", noise(200, 200))
    Image.fromarray(noise(5, 5)).save("output/result.png")
    before = Path("output/result.png").read_bytes()
    inputs = {"images": ["1", 0], "filename": "result.png", "if_exists": "replace"}
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "large.png"}},
        "2": {"class_type": "ImageOut", "inputs": inputs},
    }
    path = place.save(prompt)
    with file_size_limit(4096):
        place.refuses(place("run", path, *NULL), "node 2 (ImageOut)", "result.png cannot be written")
    assert Path("output/result.png").read_bytes() == before


def test_a_refusal_of_a_fresh_process_is_one_line(place: Place, prompt: Prompt, root: Path) -> None:
    """Nothing that a library says on its way reaches the person."""
    torch.save({"params": Payload()}, "models/evil.pth")
    workflow = place.save(use(prompt, "evil.pth"))
    command = [sys.executable, "-m", "runtime", "run", str(workflow), "--models-dir", str(place.folder / "models")]
    command += ["--input-dir", str(place.folder / "input"), "--output-dir", str(place.folder / "output"), "--progress", "none"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: node 2 (UpscaleModel): ")
    assert "evil.pth contains posix.system, which is code" in line
    assert list((place.folder / "output").iterdir()) == []


def test_a_image_of_numbers_that_are_none_is_refused(place: Place) -> None:
    cv2.imwrite("input/nan.tiff", np.full((8, 8, 3), np.nan, np.float32))
    answer = place("upscale", "input/nan.tiff", "-o", "output/nan.png", "--to", "2x", *NULL)
    place.refuses(answer, "nan.tiff", "not numbers")


def test_a_path_that_the_system_refuses_is_a_sentence(place: Place) -> None:
    """As in a folder that may not be entered, which a test of root cannot make."""
    place.refuses(place("upscale", "a" * 300, "-o", "o.png"), "File name too long")
