"""One line before the work says model, scale, size, backend and the time, which was measured and not guessed."""

import json
import platform
from pathlib import Path

import pytest
import skimage.data
from PIL import Image
from upscale8k.runtime.comfyui import read_source_size
from upscale8k.runtime.media import Size
from upscale8k.runtime.upscale import forecast

from .conftest import Place, noise, pixels_of

LOUD = ("--backend", "null", "--progress", "plain", "--models-dir", "models")
SLOW, FAST = "REALESRGAN_X4PLUS_UP4X.bin", "REALESRGAN_ANIMAVIDEOV3_UP4X.bin"


@pytest.fixture(autouse=True)
def rates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(forecast, "_get_rates_path", lambda: tmp_path / "rates.json")
    return tmp_path / "rates.json"


def test_the_time_is_the_remembered_rate_times_the_pixels_of_the_tiles(place: Place, rates: Path) -> None:
    place.image("cat.png", skimage.data.chelsea()[:200, :200])
    rates.write_text(
        json.dumps({f"{platform.node()} cpu {SLOW} null fp32": 0.01, f"{platform.node()} cpu {FAST} null fp32": 1e-3})
    )
    answer = place("upscale", "input/cat.png", "--to", "4x", *LOUD)  # one tile of 200x200: 400 s and 40 s
    assert "\nrealesrgan-x4plus, 4x to 800x800, null in fp32 on cpu, about 7 min; --fast about 40 s.\n" in answer.err
    # 200² + 800² pixels
    answer = place("upscale", "input/cat.png", "--to", "1600x1600", "-m", "realesr-animevideov3", "--tile", "1024", *LOUD)
    assert "realesr-animevideov3, 2 times 4x, reduced to 1600x1600, null in fp32 on cpu, about 11 min.\n" in answer.err
    answer = place("upscale", "input/cat.png", "--to", "100x100", *LOUD)
    assert "realesrgan-x4plus, reduced to 100x100, null in fp32 on cpu" in answer.err
    answer = place("upscale", "input/cat.png", "--to", "2x", *LOUD)
    assert "realesrgan-x4plus, 4x, reduced to 400x400, null in fp32 on cpu" in answer.err


def test_a_first_long_work_measures_one_tile_and_changes_no_pixel(
    place: Place, rates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("upscale", "input/a.png", "--to", "4x", "-m", "realesr-animevideov3", "--models-dir", "models")
    short = place(*command, "--progress", "plain", "-o", "short.png")
    assert "realesr-animevideov3, 4x to 64x48, " in short.err
    assert "about" not in short.err
    assert not rates.exists()
    monkeypatch.setattr(forecast, "_LONG_WORK", 0)
    assert "64x48" in place(*command, "--progress", "plain", "-o", "loud.png").err
    assert len(stored := json.loads(rates.read_text())) == 1
    assert 0 < next(iter(stored.values())) < 1
    assert place(*command, "--progress", "none", "-o", "quiet.png").err == ""
    assert (pixels_of("loud.png") == pixels_of("quiet.png")).all()
    assert (pixels_of("loud.png") == pixels_of("short.png")).all()


def test_short_work_on_a_busy_machine_says_nothing_about_its_speed(
    place: Place, rates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading takes a minute there; the next video was announced with 61 s and took 2."""
    monkeypatch.setattr(forecast, "_LEAST_SECONDS", 0)
    command = ("upscale", "input/a.png", "--to", "2x", "-m", "realesr-animevideov3", *LOUD)
    assert place(*command, "-o", "short.png").code == 0
    assert not rates.exists()
    monkeypatch.setattr(forecast, "_LONG_WORK", 0)
    assert place(*command, "-o", "long.png").code == 0
    assert rates.exists()


def test_a_damaged_memory_of_rates_is_no_error(place: Place, rates: Path) -> None:
    for content in ("[", "[]", '{"a": "x"}', '{"a": NaN, "b": -1}'):
        rates.write_text(content)
        assert place("upscale", "input/a.png", "-o", "o.png", "--to", "2x", *LOUD).code == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--to", "8"), "Error: --to 8: '8' is not a size to upscale to. Use one of model scale, 2x,"),
        (("-m", "swinir"), "Error: -m swinir: No weights for the model 'swinir' were found."),
        (("-m", "swinir"), "swinir-m-x4 is downloaded with: python -m runtime models pull swinir-m-x4"),
        (("--tile", "5"), "Error: --tile 5: A tile of 5 pixels is out of range. Use 0"),
        (("-b", "99"), "Error: -b 99: 99 is bigger than 64."),
        (("--set", "TiledUpscale.color_fix=x"), "Error: --set TiledUpscale.color_fix=x: 'x' is not one of its choices."),
        (("--to", "8", "--tile", "5", "-b", "99"), "Error: "),
    ],
)
def test_an_error_names_the_option_that_was_typed(place: Place, wrong: tuple[str, ...], said: str) -> None:
    answer = place("upscale", "input/a.png", *wrong, "--backend", "null", "--progress", "none", "--models-dir", "models")
    place.refuses(answer, said)
    assert "node" not in answer.err
    assert "image_any" not in answer.err


def test_without_a_result_there_is_no_line(place: Place) -> None:
    Path("input/a.png").write_bytes(b"no image")
    answer = place("upscale", "input/a.png", "--to", "4x", "-m", "realesr-animevideov3", *LOUD)
    assert answer.code == 1
    assert " 4x to " not in answer.err


@pytest.mark.parametrize(("orientation", "size"), [(1, Size(16, 12)), (3, Size(16, 12)), (6, Size(12, 16)), (8, Size(12, 16))])
@pytest.mark.parametrize("suffix", [".jpg", ".avif"])
def test_the_size_is_that_of_the_turned_image(tmp_path: Path, orientation: int, size: Size, suffix: str) -> None:
    from upscale8k.runtime.images import read_image_file

    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(noise()).save(tmp_path / f"a{suffix}", exif=exif)
    pixels = read_image_file(tmp_path / f"a{suffix}").pixels
    assert (pixels.shape[1], pixels.shape[0]) == (size.width, size.height)
    assert read_source_size(tmp_path / f"a{suffix}", max_pixels=1000) == (size, 1)
