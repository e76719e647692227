"""``report.html``: a single file with all images, a slider between any two of them, and the tables. It loads nothing.

Its Content Security Policy forbids all requests and allows only this script and this style, by their hashes. Text from outside
(names of files and models, errors) is escaped and never part of the script.
"""

import base64
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from PIL import Image

from ..media import Floats, Region, Size
from ..metrics import ArtifactFinding
from .comparison import ComparedCrop, MeasuredCrop, ModelComparison
from .comparison_sheet import DriftMaps, compute_drift_maps
from .drawing import to_pil_image
from .findings import describe_findings, recommend_model
from .summary import COLUMNS, SCORE_COLUMNS, select_filled_columns, summarize_models
from .templating import render_template

MAX_SIDE = 2048
"""Pixels per side of the images in the page; larger ones are reduced, and the page says so."""
WEBP_QUALITY = 95
LOSSLESS_PIXELS = 1 << 20
"""Larger images are stored with losses, and the page says so: eight lossless results of 4 megapixels are 50 MB."""
_FOLDER = Path(__file__).parent


def render_html(comparison: ModelComparison, drift_maps: Sequence[DriftMaps] = ()) -> str:
    """Return the whole HTML document. ``drift_maps`` are those of the crops, where they are already drawn."""
    from markupsafe import Markup

    style, script = ((_FOLDER / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    sources = f"style-src '{_hash_for_csp(style)}'; script-src '{_hash_for_csp(script)}'"
    rows = summarize_models(comparison)
    completed = comparison.completed
    shapes = [one.image.shape for case in comparison.crops for one in case.results.values()]
    recommended = recommend_model(rows)
    models = [str(index) for index, one in enumerate(completed) if not one.baseline]
    best = next((str(index) for index, one in enumerate(completed) if recommended.best and one is recommended.best.model), "")
    return render_template(
        "report/report.html.j2",
        comparison=comparison,
        policy=f"default-src 'none'; img-src data:; {sources}; base-uri 'none'",
        style=Markup(style),
        script=Markup(script),
        rows=rows,
        columns=select_filled_columns(COLUMNS, rows),
        score_columns=select_filled_columns(SCORE_COLUMNS, rows),
        recommended=recommended,
        describe_findings=describe_findings,
        crops=[(str(index), case.crop.name) for index, case in enumerate(comparison.crops)],
        choices=[
            *([("original", "Original")] if comparison.has_originals else []),
            ("source", "Source"),
            *((str(index), one.title) for index, one in enumerate(completed)),
        ],
        baselines=[str(index) for index, one in enumerate(completed) if one.baseline],
        models=models,
        shown=best or next(iter(models), str(len(completed) - 1)),
        places=[place for case in comparison.crops for place in _make_places(comparison, case)],
        strips=(
            _make_strip(comparison, case, index, drift_maps[index] if drift_maps else compute_drift_maps(case))
            for index, case in enumerate(comparison.crops)
        ),
        is_reduced=any(max(shape) > MAX_SIDE for shape in shapes),
        max_side=MAX_SIDE,
        is_lossy=any(prod(_fit_size(shape[1], shape[0])) > LOSSLESS_PIXELS for shape in shapes),
        quality=WEBP_QUALITY,
    )


def _hash_for_csp(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@dataclass(frozen=True)
class _PageImage:
    id: str
    label: str
    width: int
    height: int
    """The size at which the viewer shows it, whatever the size of its file."""
    data: str
    """A WebP file in Base64."""


@dataclass(frozen=True)
class _Strip:
    """The images of one crop: ``thumbs`` with name and title, and the maps."""

    thumbs: list[tuple[str, str, _PageImage]]
    maps: list[_PageImage]
    scale_end: str


def _make_strip(comparison: ModelComparison, compared_crop: ComparedCrop, index: int, drift_maps: DriftMaps) -> _Strip:
    maps, high = drift_maps
    shape = next((result.image.shape for result in compared_crop.results.values()), compared_crop.source.shape)
    given = {"source": ("Source", compared_crop.source), "original": ("Original", compared_crop.original)}
    thumbs = [
        (name, title, _encode_image(f"pic-{index}-{name}", title, to_pil_image(pixels), shape, lossless=True))
        for name, (title, pixels) in reversed(given.items())
        if pixels is not None
    ]
    strip = _Strip(thumbs, [], f"{high:g}")
    for number, one in enumerate(comparison.completed):
        image = to_pil_image(compared_crop.results[one.id].image)
        strip.thumbs.append((str(number), one.title, _encode_image(f"pic-{index}-{number}", one.title, image, shape)))
        label = f"CIEDE2000 of {one.title}, black 0 to pale yellow {high:g}"
        strip.maps.append(_encode_image(f"map-{index}-{number}", label, to_pil_image(maps[one.id]), shape))
    return strip


@dataclass(frozen=True)
class _Place:
    """A visible fault, and the same region of the source, the result and the original."""

    model: str
    sentence: str
    images: list[_PageImage]


def _make_places(comparison: ModelComparison, compared_crop: ComparedCrop) -> Iterator[_Place]:
    """Cut where each visible fault of a model is worst, at the pixels of the result; the source has its pixels repeated."""
    for model in comparison.completed:
        result = compared_crop.results[model.id]
        for finding in () if model.baseline else result.artifacts.findings:
            if finding.region:
                yield _cut_place(model.title, finding, compared_crop, result)


def _cut_place(title: str, finding: ArtifactFinding, compared_crop: ComparedCrop, result: MeasuredCrop) -> _Place:
    assert finding.region
    cells, region = result.artifacts.cells, finding.region
    shape = result.image[_scale_region(region, cells, result.image)].shape
    sides = [("Source", compared_crop.source), (title, result.image), ("Original", compared_crop.original)]
    images: list[_PageImage] = []
    for label, pixels in sides:
        if pixels is not None:
            image = to_pil_image(np.asarray(pixels[_scale_region(region, cells, pixels)]))
            image = image.resize((shape[1], shape[0]), Image.Resampling.NEAREST)
            images.append(_encode_image("", label, image, shape, lossless=True))
    return _Place(title, finding.sentence, images)


def _scale_region(region: Region, cells: Size, pixels: Floats) -> tuple[slice, slice]:
    """Return the rows and columns of ``pixels`` that a region of ``cells`` is in."""
    down, across = pixels.shape[0] / cells.height, pixels.shape[1] / cells.width
    rows = slice(round(region.y * down), max(round(region.bottom * down), round(region.y * down) + 1))
    return rows, slice(round(region.x * across), max(round(region.right * across), round(region.x * across) + 1))


def _fit_size(width: int, height: int) -> tuple[int, int]:
    ratio = min(MAX_SIDE / max(width, height), 1.0)
    return max(round(width * ratio), 1), max(round(height * ratio), 1)


def _encode_image(id: str, label: str, image: Image.Image, shape: Sequence[int], *, lossless: bool = False) -> _PageImage:
    """Encode an image as WebP, reduced to at most ``MAX_SIDE`` a side; ``shape`` (h, w, ...) is that of the result.

    ``lossless`` holds only for what is not reduced: the reduced source of 8K would have 20 MB.
    """
    file, size = io.BytesIO(), _fit_size(image.width, image.height)
    lossless = (lossless and image.size == size) or size[0] * size[1] <= LOSSLESS_PIXELS
    image = image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
    image.save(file, "WEBP", quality=WEBP_QUALITY, lossless=lossless, method=4)
    return _PageImage(id, label, *_fit_size(shape[1], shape[0]), base64.b64encode(file.getvalue()).decode())
