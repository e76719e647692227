"""Photographs, drawings and text are told apart; a photograph is never taken for a drawing."""

import cv2
import numpy as np
import pytest
import skimage.data
from upscale8k.runtime.metrics import image_kind
from upscale8k.runtime.metrics.image_kind import classify_image, compute_log_shares

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "camera", "coins", "brick", "grass", "moon")


def draw() -> np.ndarray:
    """(400, 600, 3): a house as a comic draws it, flat colors with black outlines."""
    image = np.full((400, 600, 3), (235, 206, 135), np.uint8)
    for corners, color in (
        ([(0, 300), (600, 300), (600, 400), (0, 400)], (80, 160, 90)),
        ([(180, 320), (180, 180), (420, 180), (420, 320)], (90, 120, 220)),
        ([(160, 180), (300, 70), (440, 180)], (60, 60, 170)),
        ([(270, 320), (270, 240), (330, 240), (330, 320)], (40, 70, 110)),
    ):
        cv2.fillPoly(image, [np.array(corners)], color)
        cv2.polylines(image, [np.array(corners)], True, (0, 0, 0), 4, cv2.LINE_AA)
    cv2.circle(image, (520, 70), 40, (90, 220, 250), -1, cv2.LINE_AA)
    return image.astype(np.float32) / 255


def write() -> np.ndarray:
    """(500, 700, 3): a page of black text on white."""
    image = np.full((500, 700, 3), 255, np.uint8)
    for line in range(18):
        text = "The same words of the same page, line by line"[: 20 + line * 7 % 25]
        cv2.putText(image, text, (30, 40 + line * 25), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (20, 20, 20), 1, cv2.LINE_AA)
    return image.astype(np.float32) / 255


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("side", [2000, 512, 256])
def test_photographs_are_photographs_at_any_size(name: str, side: int) -> None:
    image = getattr(skimage.data, name)().astype(np.float32) / 255
    image = image[..., None] if image.ndim == 2 else image
    scale = side / max(image.shape[:2])
    resized = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    assert classify_image([image]) != "drawing"
    assert classify_image([resized.reshape(*resized.shape[:2], -1)]) != "drawing"
    written = cv2.imencode(".jpg", (resized * 255).clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
    assert classify_image([cv2.imdecode(written, cv2.IMREAD_COLOR).astype(np.float32) / 255]) != "drawing"


def test_drawings_and_text() -> None:
    assert classify_image([draw()]) == "drawing"
    assert classify_image([write()]) == "text"
    assert classify_image([draw(), draw()[:, ::-1], draw()]) == "drawing"


@pytest.mark.parametrize("paper", [40, 250])
@pytest.mark.parametrize("icons", [0, 6, 12])
def test_a_window_with_little_text_is_no_drawing(paper: int, icons: int) -> None:
    """A title, a list with round icons, two lines of text and a button."""
    ink, bar = (220, 63) if paper < 128 else (30, 225)
    image = np.full((480, 720, 3), paper, np.uint8)
    cv2.rectangle(image, (0, 0), (719, 28), (bar, bar, bar), -1)
    cv2.rectangle(image, (0, 28), (170, 479), (bar * 0.9, bar * 0.9, bar * 0.9), -1)
    for icon in range(icons):
        color = (icon * 67 % 255, icon * 131 % 255, icon * 29 % 255)
        cv2.circle(image, (20 + icon % 6 * 26, 50 + icon // 6 * 30), 9, color, -1, cv2.LINE_AA)
    for line, text in enumerate(("Settings of th", "Settings of this window")):
        cv2.putText(image, text, (190, 60 + line * 26), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (ink, ink, ink), 1, cv2.LINE_AA)
    cv2.rectangle(image, (560, 430), (690, 460), (200, 120, 40), -1)
    cv2.putText(image, "Apply", (595, 450), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    assert classify_image([image[:, :, ::-1].astype(np.float32) / 255]) == "text"


@pytest.mark.parametrize(
    ("shares", "kind"),
    [
        ((0.05, 0.50, 0.45), "drawing"),  # a comic strip with much text
        ((0.05, 0.45, 0.50), "text"),
        ((0.10, 0.80, 0.10), "drawing"),
        ((0.12, 0.80, 0.08), "photograph"),
        ((0.05, 0.30, 0.65), "text"),
    ],
)
def test_text_does_not_count_between_drawing_and_photograph(
    shares: tuple[float, float, float], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_kind, "compute_log_shares", lambda image: np.log(shares))
    assert classify_image([draw()]) == kind


def test_alpha_is_shown_on_white() -> None:
    image = np.concatenate([draw(), np.ones((400, 600, 1), np.float32)], axis=2)
    np.testing.assert_allclose(compute_log_shares(image), compute_log_shares(draw()), atol=1e-4)


def test_parts_are_seen_in_their_own_pixels() -> None:
    """A photograph of which only a small part is left on white is still one, and so is its half."""
    photograph = skimage.data.coffee().astype(np.float32) / 255
    page = np.ones((900, 900, 3), np.float32)
    page[300:600, 250:650] = cv2.resize(photograph, (400, 300), interpolation=cv2.INTER_AREA)
    assert classify_image([page]) == "photograph"
    assert classify_image([photograph[:, :300]]) == "photograph"


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 900, 1), (40, 1, 4), (16, 16, 2), (2, 20000, 3)])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, float("nan")])
def test_an_image_without_content_is_no_error(shape: tuple[int, int, int], value: float) -> None:
    image = np.full(shape, value, np.float32)
    assert np.exp(compute_log_shares(image)).sum() <= 1 + 1e-6
    classify_image([image])
