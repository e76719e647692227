"""``upscale`` without -m looks at each source and says which model it takes."""

from pathlib import Path

import av
import numpy as np
import pytest
import skimage.data

from ..metrics.test_image_kind import draw
from .conftest import NULL, Place
from .test_upscale_many import LOUD

DRAWING = (draw() * 255).astype(np.uint8)


def test_each_image_gets_the_model_that_suits_it(place: Place) -> None:
    Path("input/a.png").unlink()
    place.image("cat.png", skimage.data.chelsea()[:200, :200])
    place.image("house.png", DRAWING[:, :, ::-1].copy())
    answer = place("upscale", "input", "-o", "output", *LOUD)
    assert answer.code == 0, answer.err
    said = [line for line in answer.err.splitlines() if "It looks like" in line]
    assert said == [
        "1 of 2, cat.png: It looks like a photograph: realesrgan-x4plus.",
        "2 of 2, house.png: It looks like a drawing: realesrgan-x4plus-anime.",
    ]


def test_a_drawn_video_gets_the_model_for_animation(place: Place) -> None:
    with av.open("input/toon.mkv", "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 600, 400, "bgr0"
        for shift in range(6):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(DRAWING, shift, axis=1), format="bgr24")))
        out.mux(stream.encode(None))
    answer = place("upscale", "input/toon.mkv", "-o", "output/o.mkv", *LOUD)
    assert (answer.code, answer.new) == (0, ["output/o.mkv"]), answer.err
    assert "It looks like a drawing: realesr-animevideov3." in answer.err


def test_fast_is_a_choice_of_auto_and_not_beside_a_model(place: Place) -> None:
    place.image("cat.png", skimage.data.chelsea()[:200, :200])
    fast = place("upscale", "input/cat.png", "--fast", *LOUD)
    assert "a photograph: realesr-animevideov3. realesr-general-x4v3 suits it better" in fast.err
    place.image("dog.png", skimage.data.chelsea()[100:300, :200])
    both = place("upscale", "input/cat.png", "input/dog.png", "--fast", "-o", "output", *LOUD).err
    assert (both.count("a photograph: realesr-animevideov3."), both.count("suits it better")) == (2, 1)
    place.refuses(place("upscale", "input/cat.png", "--fast", "-m", "realesrgan-x4plus", *NULL), "--fast chooses a model")


@pytest.mark.parametrize("linked", [True, False])
def test_auto_in_a_workflow_looks_at_the_connected_image(place: Place, prompt: dict, linked: bool) -> None:
    place.image("a.png", DRAWING[:, :, ::-1].copy())
    prompt["2"]["inputs"] = {"model": "auto", **({"image": ["1", 0]} if linked else {})}
    answer = place.run(prompt)
    assert answer.code == 0, answer.err
    assert ("a drawing: realesrgan-x4plus-anime" if linked else "a photograph: realesrgan-x4plus.") in answer.err
