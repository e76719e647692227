"""The files of a report, read back by what reads such files."""

import base64
import hashlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image
from upscale8k.runtime.errors import OutputError
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.metrics import Degradation
from upscale8k.runtime.metrics.external_scores.score_table import ScoreResults
from upscale8k.runtime.report.comparison import ModelComparison
from upscale8k.runtime.report.comparison_sheet import CARD_WIDTH, draw_sheet
from upscale8k.runtime.report.html_report import render_html
from upscale8k.runtime.report.json_report import render_json
from upscale8k.runtime.report.model_runs import compare_images, enlarge_with_baseline
from upscale8k.runtime.report.report_files import REPORT_FILES, render_markdown, write_report
from upscale8k.runtime.report.templating import escape_markdown

from .conftest import HOSTILE


class Read(HTMLParser):
    """Every tag with its attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.inside: dict[str, str] = {}
        self._open = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._open in ("script", "style") and self._open not in self.inside:
            self.inside[self._open] = data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def comparison(make: Callable[..., ModelComparison]) -> ModelComparison:
    return make("centre:48x40, texture:32x32")


def hostile(comparison: ModelComparison) -> ModelComparison:
    models = tuple(replace(one, title=f"{HOSTILE} {one.id}", problem=one.problem and HOSTILE) for one in comparison.models)
    cases = tuple(replace(case, crop=replace(case.crop, name=HOSTILE, note=HOSTILE)) for case in comparison.crops)
    return replace(comparison, source=HOSTILE, models=models, crops=cases, machine=HOSTILE, notes=(HOSTILE,))


def test_all_five_files_are_written_whole(comparison: ModelComparison, tmp_path: Path) -> None:
    paths = write_report(comparison, lambda name: tmp_path / name)
    assert [path.name for path in paths] == list(REPORT_FILES)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(REPORT_FILES)
    assert all(path.stat().st_size > 1000 for path in paths)


def test_a_disk_that_refuses_is_named_and_leaves_nothing_half(comparison: ModelComparison, tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OutputError, match=r"report\.html cannot be written"):
        write_report(comparison, lambda name: tmp_path / name)
    assert not list(tmp_path.glob("*.part"))


# The page.


def test_the_page_asks_the_network_for_nothing(comparison: ModelComparison) -> None:
    html = render_html(comparison)
    read = Read(html)
    (policy,) = [tag["content"] for tag in read.of("meta") if tag.get("http-equiv") == "Content-Security-Policy"]
    assert policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert all(
        (tag.get("src") or "data:").startswith("data:image/webp;base64,") or not tag.get("src") for tag in read.of("img")
    )
    assert not read.of("link")
    assert [tag for tag in read.of("script") if tag.get("src")] == []
    assert not re.search(r"https?://", html)


def test_the_policy_allows_exactly_the_script_and_the_style_of_the_page(comparison: ModelComparison) -> None:
    read = Read(render_html(comparison))
    (policy,) = [tag["content"] or "" for tag in read.of("meta") if tag.get("http-equiv")]
    for kind in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(read.inside[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_the_page_holds_every_image_of_every_crop(comparison: ModelComparison) -> None:
    images = {tag["id"]: tag for tag in Read(render_html(comparison)).of("img") if tag.get("id")}
    for crop, case in enumerate(comparison.crops):
        for number, one in enumerate(comparison.completed):
            stored = images[f"pic-{crop}-{number}"]
            data = base64.b64decode((stored["src"] or "").partition(",")[2])
            with Image.open(io.BytesIO(data)) as image:
                expected = case.results[one.id].image
                assert image.size == (expected.shape[1], expected.shape[0])
                assert np.abs(np.asarray(image, np.float32) / 255 - expected).mean() < 0.03
            assert f"map-{crop}-{number}" in images


def test_an_image_that_is_too_large_for_a_page_is_reduced(comparison: ModelComparison, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upscale8k.runtime.report.html_report.MAX_SIDE", 50)
    html = render_html(comparison)
    data = re.search(r'id="pic-0-0"[^>]*base64,([^"]+)', html)
    assert data
    with Image.open(io.BytesIO(base64.b64decode(data[1]))) as image:
        assert max(image.size) == 50
    assert "at most 50 pixels" in html


def test_hostile_names_are_shown_and_never_obeyed(comparison: ModelComparison) -> None:
    html = render_html(hostile(comparison))
    read = Read(html)
    assert HOSTILE in read.text
    assert "<img src=x" not in html
    assert len(read.of("script")) == 1
    assert not [tag for _, tag in read.tags if any(name.startswith("on") for name in tag)]


# The text.


def test_the_analysis_has_every_number_of_the_table_and_says_what_is_missing(comparison: ModelComparison) -> None:
    text = render_markdown(comparison)
    assert "| Gone | Its weights are not here. Get them with: models pull gone |" in text
    for heading in (
        "## Recommended",
        "## True to the source",
        "## Detail and artifacts",
        "## Cost",
        "## By crop",
        "## In words",
    ):
        assert heading in text
    assert "Give the original: compare IMAGE --truth" in text
    assert "| Red | whatever is red |" in text
    for word, limit in (("Delta E", "2.3"), ("Ringing", "% of the edge"), ("Hallucination", "dB is a warning")):
        assert re.search(rf"\*\*{word}\*\*.*{limit}", text.replace("\n  ", " "))
    rows = [line for line in text.splitlines() if line.startswith("| Red |")]
    assert any("0.5" in line or "1.00" in line for line in rows)


def test_with_the_original_the_model_that_restores_it_is_recommended(make: Callable[..., ModelComparison]) -> None:
    comparison = make(truth=Degradation(noise=1))
    (case,) = comparison.crops
    assert case.original is not None
    assert [side.shape for side in (case.source, case.original, case.results["red"].image)] == [
        (20, 24, 3),
        (40, 48, 3),
        (40, 48, 3),
    ]
    text, content = render_markdown(comparison), json.loads(render_json(comparison))
    assert "**Plain** for this material. Against the original: Texture error" in text
    assert "## True to the original" in text
    assert [one["model"] for one in content["recommendations"]] == ["plain"]
    truth = {name: result["truth"] for name, result in content["crops"][0]["results"].items()}
    assert truth["plain"] == truth["lanczos"]
    assert truth["red"]["drift"] > truth["plain"]["drift"] + 1
    assert "Original" in Read(render_html(comparison)).text


def test_tables_keep_their_columns_whatever_a_name_holds(comparison: ModelComparison) -> None:
    text = render_markdown(hostile(comparison))
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(counts) == 1, table
    read = Read(MarkdownIt("commonmark").enable("table").render(text))
    assert HOSTILE in read.text
    allowed = "h1 h2 h3 p ul li table thead tbody tr th td strong blockquote"
    assert {tag for tag, _ in read.tags} <= set(allowed.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a|b", "a\\|b"),
        ("<b>", "\\<b\\>"),
        ("- x", "\\- x"),
        ("# x", "\\# x"),
        ("1. x", "1\\. x"),
        ("x4-plus (2)", "x4-plus (2)"),
        ("a\nb", "a b"),
    ],
)
def test_text_from_outside_is_shown_as_it_is(text: str, expected: str) -> None:
    assert escape_markdown(text) == expected


# The record.


def test_the_record_is_strict_json_with_every_number(comparison: ModelComparison) -> None:
    content = json.loads(render_json(comparison), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert [one["id"] for one in content["contenders"]] == ["red", "plain", "gone", "bicubic", "lanczos"]
    assert content["contenders"][2]["summary"] is None
    assert [crop["region"]["width"] for crop in content["crops"]] == [48, 32]
    measured = comparison.crops[0].results["red"]
    stored = content["crops"][0]["results"]["red"]
    assert stored["drift"]["de2000"]["mean"] == measured.drift.de2000.mean
    assert stored["cost"]["seconds"] == 0.5
    (recommended,) = content["recommendations"]
    assert recommended["model"] is None
    assert "truth" not in stored


# The sheet.


def test_the_sheet_shows_every_result_at_its_place(comparison: ModelComparison) -> None:
    """One tinted all over must be redder on the sheet, where its card is: fourth of a row of source, bicubic, Lanczos, red."""
    image = np.asarray(draw_sheet(comparison), np.float32)
    assert image.shape[1] == 4 * CARD_WIDTH + 5 * 20
    cards = [image[200:500, 20 + index * (CARD_WIDTH + 20) :][:, 20 : CARD_WIDTH - 20] for index in range(4)]
    redness = [float((card[..., 0] - card[..., 1]).mean()) for card in cards]
    assert max(redness[:3]) - min(redness[:3]) < 2
    assert redness[3] - redness[0] > 6


def test_names_in_any_script_can_be_drawn(comparison: ModelComparison) -> None:
    odd = replace(comparison, source="Ünïcödé 日本語 \x00\n" * 40, notes=())
    assert draw_sheet(odd).size == draw_sheet(comparison).size


@pytest.fixture(scope="session")
def scored(make: Callable[..., ModelComparison]) -> ModelComparison:
    """With a score of all results, one of a single model, and one that is not available."""
    comparison = make()
    (case,) = comparison.crops
    missing = ("Not measured: LPIPS. <b>Weights</b> are not here.",)
    results = {
        name: replace(result, scores=ScoreResults({"ssim": 0.9 if name == "red" else 0.8123}, missing))
        for name, result in case.results.items()
    }
    red = results["red"]
    results["red"] = replace(red, scores=ScoreResults({**red.scores.values, "vmaf": 91.26}, missing))
    return replace(comparison, crops=(replace(case, results=results),))


def test_scores_of_other_libraries_are_a_table_of_their_own(scored: ModelComparison) -> None:
    words = render_markdown(scored)
    assert "| | SSIM (0..1) | VMAF (0..100) |" in words
    assert "| Red | **0.900** | 91.3 |" in words
    assert "| Plain | 0.812 | – |" in words
    assert "LPIPS (" not in words
    assert words.count("Not measured: LPIPS.") == 1
    html = render_html(scored)
    assert "<b>Weights" not in html
    assert "Scores of other libraries" in Read(html).text
    content = json.loads(render_json(scored))
    assert content["crops"][0]["results"]["red"]["scores"] == {"ssim": 0.9, "vmaf": 91.26}
    assert content["contenders"][0]["summary"]["scores"]["ssim"] == pytest.approx(0.9)
    assert content["notes"][-1].startswith("Not measured: LPIPS")


def test_without_scores_nothing_speaks_of_them(make: Callable[..., ModelComparison]) -> None:
    assert "Scores" not in render_markdown(make())
    assert "Scores" not in Read(render_html(make())).text


def test_images_of_the_page_are_lossless_or_the_page_says_that_they_are_not(
    make: Callable[..., ModelComparison], monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison = make()
    html, (case,) = render_html(comparison), comparison.crops
    stored = re.findall(r'id="pic-0-(\d)"[^>]*base64,([^"]+)', html)
    for number, text in stored:
        expected = case.results[comparison.completed[int(number)].id].image
        with Image.open(io.BytesIO(base64.b64decode(text))) as image:
            np.testing.assert_array_equal(np.asarray(image), np.rint(np.clip(expected, 0, 1) * 255))
    assert len(stored) == 4
    assert "not lossless" not in html
    monkeypatch.setattr("upscale8k.runtime.report.html_report.LOSSLESS_PIXELS", 100)
    assert "WebP of quality 95, which is not lossless" in render_html(comparison)


def test_where_a_visible_fault_is_worst_is_shown_beside_the_source(photograph: np.ndarray) -> None:
    """A halo on the right half: the page cuts the region there from the result, pixel for pixel."""
    size = Size(photograph.shape[1] * 2, photograph.shape[0] * 2)
    plain = enlarge_with_baseline(photograph, size, "bicubic")
    sharpened = plain + 3 * (plain - cv2.GaussianBlur(plain, (0, 0), 3))
    haloed = np.where(np.arange(size.width)[None, :, None] < size.width // 2, plain, sharpened)
    comparison = compare_images(photograph, [("Halo", np.clip(haloed, 0, 1).astype(np.float32))], "whole", "2026-11-28")
    (result,) = comparison.crops[0].results.values()
    (finding,) = [one for one in result.artifacts.findings if one.sentence.startswith("Ringing")]
    assert finding.region
    assert finding.region.x >= photograph.shape[1] // 2 - 16
    page = render_html(comparison)
    place = page[page.index("Where to look") :].split("<figure")[1 + result.artifacts.findings.index(finding)]
    assert "Ringing" in place
    source, cut = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
        for data in re.findall(r"base64,([^\"]+)", place)
    )
    region = finding.region * 2
    np.testing.assert_array_equal(cut, np.rint(result.image[region.rows, region.columns] * 255))
    repeated = photograph[finding.region.rows, finding.region.columns].repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(source, np.rint(repeated * 255))
