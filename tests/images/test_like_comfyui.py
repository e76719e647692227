import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import av.error
import cv2
import numpy as np
import pytest
from PIL import Image
from upscale8k.runtime.comfyui.builtin import load_save_image
from upscale8k.runtime.comfyui.builtin.load_save_image import load_image, save_png
from upscale8k.runtime.errors import MediaError, OutputError

from ..comfyui.peer.tree import require_tree

# Runs in a process of its own: core's LoadImage on every file of a folder, results beside them as NAME.npz.
CORE = """
import os, sys
from pathlib import Path
tree, folder = sys.argv[1:]
sys.argv = [sys.argv[0], "--cpu"]
sys.path.insert(0, tree)
os.chdir(tree)
import comfy.options
comfy.options.enable_args_parsing()
import folder_paths, nodes
import numpy as np
folder_paths.get_annotated_filepath = lambda name, *_: name
for path in sorted(Path(folder).iterdir()):
    try:
        images, masks = nodes.LoadImage().load_image(str(path))
    except Exception as error:
        print(path.name, type(error).__name__, error)
    else:
        np.savez(str(path) + ".npz", images=images.numpy(), masks=masks.numpy())
image = np.load(os.environ["SAVED"])
import torch
folder_paths.set_output_directory(folder)
nodes.SaveImage().save_images(torch.from_numpy(image)[None], "saved", {"1": {}}, {"workflow": {"title": "caf\\u00e9"}})
"""


def _files(folder: Path, rgb: np.ndarray, rgba: np.ndarray, write_oiio) -> None:
    rgb8, rgba8 = np.rint(rgb * 255).astype(np.uint8), np.rint(rgba * 255).astype(np.uint8)
    rgb16, rgba16 = np.rint(rgb * 65535).astype(np.uint16), np.rint(rgba * 65535).astype(np.uint16)
    image, with_alpha = Image.fromarray(rgb8), Image.fromarray(rgba8)
    grey, palette = image.convert("L"), image.quantize(64)
    frames = [image.rotate(90 * turn) for turn in range(1, 4)]
    for mode in ("RGB", "RGBA", "L", "LA", "1"):
        with_alpha.convert(mode).save(folder / f"{mode}.png")
    palette.save(folder / "palette.png")
    palette.save(folder / "palette_alpha.png", transparency=bytes(range(0, 256, 4)))
    cv2.imwrite(str(folder / "rgb16.png"), rgb16[..., ::-1])
    cv2.imwrite(str(folder / "rgba16.png"), rgba16[..., [2, 1, 0, 3]])
    cv2.imwrite(str(folder / "grey16.png"), rgb16[..., 0])
    image.crop((0, 0, 64, 61)).save(folder / "aligned.png")  # a width that needs no padding
    grey.crop((0, 0, 64, 61)).save(folder / "aligned_grey.png")
    for name, variant in {"rgb": image, "grey": grey, "cmyk": image.convert("CMYK")}.items():
        variant.save(folder / f"{name}.jpg", quality=88)
    image.save(folder / "422.jpg", subsampling=1)
    image.save(folder / "444.jpg", subsampling=0, progressive=True)
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        image.save(folder / f"turned{turn}.jpg", exif=exif)
        image.save(folder / f"turned{turn}.png", exif=exif)
    image.save(folder / "lossy.webp", quality=80)
    with_alpha.save(folder / "lossless.webp", lossless=True, exact=True)
    for suffix in ("gif", "png", "webp"):
        image.save(folder / f"animated.{suffix}", save_all=True, append_images=frames, duration=100)
    palette.save(folder / "still.gif")
    palette.save(folder / "transparent.gif", transparency=3)
    for mode in ("RGB", "RGBA", "L", "P"):
        (palette if mode == "P" else with_alpha.convert(mode)).save(folder / f"{mode}.bmp")
        (palette if mode == "P" else with_alpha.convert(mode)).save(folder / f"{mode}.tif")
    image.save(folder / "jpeg.tif", compression="jpeg")
    write_oiio(folder / "rgb16.tif", rgb16, "uint16")
    write_oiio(folder / "planar.tif", rgb16, "uint16", planarconfig="separate")
    write_oiio(folder / "float.tif", rgb * 3 - 1, "float")
    image.save(folder / "rgb.avif", quality=80)
    write_oiio(folder / "float.exr", rgb * 3 - 1, "float")
    write_oiio(folder / "half.exr", rgba, "half", channelnames=("R", "G", "B", "A"))
    (folder / "jpeg_called.png").write_bytes((folder / "rgb.jpg").read_bytes())


@pytest.fixture(scope="module")
def saved_image() -> np.ndarray:
    """float32 (40, 50, 3) that leaves 0..1 on both sides and holds every multiple of 1/255 with its neighbours."""
    steps = np.arange(256, dtype=np.float32) / np.float32(255)
    around = np.concatenate([steps, np.nextafter(steps, np.float32(2)), np.nextafter(steps, np.float32(-2))])
    return np.concatenate([around, np.linspace(-0.5, 1.5, 6000 - around.size, dtype=np.float32)]).reshape(40, 50, 3)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, rgb, rgba, write_oiio) -> Path:
    """The folder of files."""
    folder = tmp_path_factory.mktemp("whole")
    _files(folder, rgb, rgba, write_oiio)
    return folder


@pytest.fixture(scope="module")
def core(files: Path, tmp_path_factory: pytest.TempPathFactory, saved_image: np.ndarray) -> Path:
    """The folder of files with core's results beside them."""
    folder = tmp_path_factory.mktemp("core")
    shutil.copytree(files, folder, dirs_exist_ok=True)
    saved = tmp_path_factory.mktemp("saved") / "image.npy"
    np.save(saved, saved_image)
    command = [sys.executable, "-c", CORE, str(require_tree()), str(folder)]
    environment = {**os.environ, "SAVED": str(saved)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == ""  # core read every file of the table
    return folder


@pytest.mark.comfyui
def test_every_file_is_what_core_makes_of_it_bit_for_bit(core: Path) -> None:
    results = sorted(core.glob("*.npz"))
    assert len(results) > 50
    for result in results:
        expected = np.load(result)
        images, masks = load_image(result.with_suffix(""))
        for name, ours in (("images", images), ("masks", masks)):
            assert ours.dtype == np.float32
            assert ours.shape == expected[name].shape, result.name
            assert ours.tobytes() == expected[name].tobytes(), result.name


@pytest.mark.comfyui
def test_a_saved_file_has_cores_pixels_and_text(core: Path, tmp_path: Path, saved_image: np.ndarray) -> None:
    ours = save_png(tmp_path / "a.png", saved_image, {"prompt": '{"1": {}}', "workflow": '{"title": "caf\\u00e9"}'})
    (theirs,) = core.glob("saved_*.png")
    with Image.open(ours) as a, Image.open(theirs) as b:
        assert a.mode == b.mode
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
        assert a.text == b.text


def test_pixels_and_masks_by_the_numbers(tmp_path: Path, png_bytes) -> None:
    (tmp_path / "a.png").write_bytes(png_bytes(2, 8, 6, bytes([255, 0, 51, 255, 1, 2, 3, 102])))
    images, masks = load_image(tmp_path / "a.png")
    np.testing.assert_array_equal(images, np.float32([[[[1, 0, 51 / 255], [1 / 255, 2 / 255, 3 / 255]]]]))
    np.testing.assert_array_equal(masks, np.float32(1) - np.float32([[[1, 102 / 255]]]))


def test_without_alpha_the_mask_is_64_by_64_zeros(tmp_path: Path, png_bytes) -> None:
    (tmp_path / "a.png").write_bytes(png_bytes(1, 8, 2, b"\1\2\3"))
    assert load_image(tmp_path / "a.png")[1].tobytes() == np.zeros((1, 64, 64), np.float32).tobytes()


def test_an_animation_is_a_batch_and_counts_whole(tmp_path: Path, rgb: np.ndarray) -> None:
    image = Image.fromarray(np.rint(rgb * 255).astype(np.uint8))
    for suffix in ("png", "gif", "webp"):
        path = tmp_path / f"a.{suffix}"
        image.save(path, save_all=True, append_images=[image.rotate(180), image.rotate(90)], duration=100)
        images, masks = load_image(path)
        assert images.shape == (3, 61, 83, 3)
        assert masks.shape[0] == 3
        with pytest.raises(MediaError, match="--max-pixels"):
            load_image(path, max_pixels=2 * 61 * 83)


@pytest.mark.parametrize("percent", [50, 95])
def test_a_file_that_is_cut_off_is_an_error(files: Path, tmp_path: Path, capfd, percent: int) -> None:
    for source in sorted(files.iterdir()):
        cut = tmp_path / source.name
        data = source.read_bytes()
        cut.write_bytes(data[: len(data) * percent // 100])
        with pytest.raises(MediaError, match=source.name) as caught:
            load_image(cut)
        assert caught.value.hint
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["a_%d.png", "a_%*.png"])
def test_a_name_that_ffmpeg_takes_for_a_series_is_one_file(tmp_path: Path, name: str) -> None:
    """Core shows a_1.png and a_2.png for a_%d.png: files that were not named and not checked."""
    colors = {name: (255, 0, 0), "a_1.png": (0, 0, 255), "a_2.png": (0, 0, 255)}
    for each, color in colors.items():
        Image.new("RGB", (32, 16), color).save(tmp_path / each)
    images, _ = load_image(tmp_path / name)
    np.testing.assert_array_equal(images, np.broadcast_to(np.float32([1, 0, 0]), (1, 16, 32, 3)))


PLAYLISTS = {
    "concat": "ffconcat version 1.0\nfile {name}\n",
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:1.0,\n{name}\n#EXT-X-ENDLIST\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_what_ffmpeg_is_given_opens_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Text never gets this far; this protects if FFmpeg ever takes an image for a playlist."""
    monkeypatch.chdir(tmp_path)
    with av.open("secret.ts", "w") as video:
        stream = video.add_stream("mpeg2video", 25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        noise = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)  # of some size, so that it is recognised
        for _ in range(5):
            video.mux(stream.encode(av.VideoFrame.from_ndarray(noise, "rgb24")))
        video.mux(stream.encode(None))
    playlist = Path("a.m3u8")
    playlist.write_text(PLAYLISTS[kind].format(name="secret.ts"), encoding="utf-8")
    with av.open(str(playlist)) as container:
        assert container.streams.video[0].width == 64  # by its name FFmpeg follows it
    with pytest.raises((av.error.FFmpegError, IndexError)):
        list(load_save_image._iter_ffmpeg_frames(playlist))


def test_what_core_would_fail_on_obscurely_is_a_sentence(tmp_path: Path, rgb: np.ndarray, png_bytes, write_oiio) -> None:
    (tmp_path / "words.png").write_text("just words")
    with pytest.raises(MediaError, match=r"words\.png is not an image that can be read: it is text"):
        load_image(tmp_path / "words.png")
    (tmp_path / "tiny.png").write_bytes(png_bytes(4, 8, 0, bytes(4)))
    with pytest.raises(MediaError, match="FFmpeg, which decodes for LoadImage, does not support this") as caught:
        load_image(tmp_path / "tiny.png")
    assert "at least 16x16" in caught.value.hint
    write_oiio(tmp_path / "a.jxl", np.rint(rgb * 255).astype(np.uint8), "uint8")
    with pytest.raises(MediaError, match="which LoadImage does not read"):
        load_image(tmp_path / "a.jxl")
    with pytest.raises(MediaError, match="does not exist"):
        load_image(tmp_path / "nothing.png")


def test_integers_are_cut_off_and_not_rounded(tmp_path: Path) -> None:
    values = np.array([-1, 0, 0.3, 0.999, 1, 2, np.inf], np.float32).reshape(1, -1, 1)
    with Image.open(save_png(tmp_path / "a.png", values)) as image:
        assert np.asarray(image).ravel().tolist() == [0, 0, 76, 254, 255, 255, 255]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_save_png_writes_what_it_was_given(tmp_path: Path, rgba: np.ndarray, channels: int) -> None:
    path = save_png(tmp_path / "a.png", rgba[..., :channels])
    with Image.open(path) as image:
        assert image.mode == {1: "L", 3: "RGB", 4: "RGBA"}[channels]
        np.testing.assert_array_equal(np.asarray(image), (rgba[..., :channels] * 255).astype(np.uint8).squeeze())


def test_save_png_refuses_what_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="not numbers") as caught:
        save_png(tmp_path / "a.png", np.full((2, 2, 3), np.nan, np.float32))
    assert "fp32" in caught.value.hint
    assert not list(tmp_path.iterdir())
