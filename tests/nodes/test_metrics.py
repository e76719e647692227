"""The measuring nodes, run as a workflow runs them."""

import json
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from upscale8k.nodes import bind_to_host, get_node_classes
from upscale8k.runtime.cli import main
from upscale8k.runtime.errors import WorkflowError
from upscale8k.runtime.host import LocalHost

RNG = np.random.default_rng(14)


def images(count: int = 1, height: int = 40, width: int = 60, channels: int = 3) -> torch.Tensor:
    return torch.from_numpy(RNG.random((count, height, width, channels), dtype=np.float32))


def repeated(batch: torch.Tensor, factor: int = 2) -> torch.Tensor:
    return batch.repeat_interleave(factor, 1).repeat_interleave(factor, 2)


@pytest.fixture
def nodes(host: LocalHost) -> dict[str, Any]:
    return get_node_classes(host)


def test_drift_gives_a_map_a_number_a_verdict_and_json(nodes: dict[str, Any]) -> None:
    batch = images(2)
    shown = nodes["ColorDriftMetric"]().run(batch, repeated(batch))
    heat_map, mean, verdict, report = shown["result"]
    assert shown["ui"] == {"text": [verdict], "values": [json.loads(report)]}
    assert heat_map.shape[0] == 2
    assert heat_map.shape[1] > 40
    assert heat_map.shape[2:] == (60, 3)
    assert mean == pytest.approx(0, abs=1e-4)
    assert "Imperceptible" in verdict
    assert json.loads(report)["frames"] == 2


@pytest.mark.parametrize("node_id", ["ColorDriftMetric", "ArtifactMetric"])
def test_a_single_image_is_compared_with_a_whole_batch(node_id: str, nodes: dict[str, Any]) -> None:
    one = images(1)
    many = one.repeat(3, 1, 1, 1)
    many[2] = 1 - many[2]
    results = [nodes[node_id]().run(*pair)["result"] for pair in ((one, many), (many, one), (one.repeat(3, 1, 1, 1), many))]
    first = json.loads(results[0][3 if node_id == "ColorDriftMetric" else 1])
    assert first["frames"] == 3 if node_id == "ColorDriftMetric" else len(first) == 3
    if node_id == "ColorDriftMetric":
        assert results[0][1] == pytest.approx(results[1][1], rel=1e-3) == results[2][1]


def test_artifacts_come_as_sentences_json_and_numbers(nodes: dict[str, Any]) -> None:
    reference = torch.full((1, 64, 64, 3), 0.5)
    noisy = repeated(reference) + torch.from_numpy(
        np.random.default_rng(1).normal(0, 5 / 255, (1, 128, 128, 1)).astype(np.float32)
    )
    shown = nodes["ArtifactMetric"]().run(reference, noisy, 16)
    findings, report, halo, consistency, _, noise, _, seams, *_ = shown["result"]
    assert shown["ui"] == {"text": [findings], "values": [json.loads(report)]}
    assert findings.startswith("Noise: 5.")
    assert noise == pytest.approx(5, rel=0.1)
    assert json.loads(report)[0]["halo"] is None
    assert halo == 0.0
    assert 30 < consistency < 45
    assert seams < 1


@pytest.mark.parametrize("kind", ["absolute", "signed", "delta e", "edges"])
def test_results_of_two_models_of_different_size_can_be_compared(kind: str, nodes: dict[str, Any]) -> None:
    batch = images(2)
    (found,) = nodes["DiffMap"]().run(repeated(batch, 2), repeated(batch, 3), kind, at="output", legend=False)
    assert found.shape == (2, 120, 180, 3)
    assert found.dtype == torch.float32


@pytest.mark.parametrize(
    ("reference", "upscaled", "words"),
    [
        (images(2), images(3), "2 images and the upscaled batch has 3"),
        (images(1)[:0], images(1), "0 images"),
        (images(1), images(1, 50, 40), "their proportions differ"),
        (images(1, channels=4)[:, :0], images(1), "empty"),
        (images(1), torch.full((1, 40, 60, 3), float("nan")), "NaN"),
        (images(1)[0], images(1), "An IMAGE has 4 dimensions"),
    ],
)
@pytest.mark.parametrize("node_id", ["ColorDriftMetric", "DiffMap", "ArtifactMetric"])
def test_what_cannot_be_compared_gets_a_sentence(
    node_id: str, reference: torch.Tensor, upscaled: torch.Tensor, words: str, nodes: dict[str, Any]
) -> None:
    kind = ("delta e",) if node_id == "DiffMap" else ()
    with pytest.raises(WorkflowError, match=words):
        nodes[node_id]().run(reference, upscaled, *kind)


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("node_id", ["ColorDriftMetric", "DiffMap", "ArtifactMetric"])
def test_grey_and_alpha_are_taken(node_id: str, channels: int, nodes: dict[str, Any]) -> None:
    batch = images(channels=channels)
    kind = ("delta e",) if node_id == "DiffMap" else ()
    assert nodes[node_id]().run(batch, repeated(batch), *kind)


def test_a_video_is_no_image(nodes: dict[str, Any]) -> None:
    with pytest.raises(WorkflowError, match="video cannot be compared with an image"):
        nodes["ColorDriftMetric"]().run(images(), object())


def test_two_videos_are_compared_in_a_workflow_and_the_verdict_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [RNG.integers(60, 200, (36, 64, 3), np.uint8) for _ in range(3)]
    for name, factor, lighter in (("small", 1, 0), ("large", 2, 10)):
        with av.open(str(tmp_path / f"{name}.mkv"), "w") as out:
            stream = out.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64 * factor, 36 * factor, "bgr0"
            for pixels in frames:
                large = (pixels + lighter).astype(np.uint8).repeat(factor, 0).repeat(factor, 1)
                out.mux(stream.encode(av.VideoFrame.from_ndarray(large, format="rgb24").reformat(format="bgr0")))
            out.mux(stream.encode(None))
    prompt = {
        "1": {"class_type": "VideoIn", "inputs": {"video": "small.mkv"}},
        "2": {"class_type": "VideoIn", "inputs": {"video": "large.mkv"}},
        "3": {"class_type": "ColorDriftMetric", "inputs": {"reference": ["1", 0], "upscaled": ["2", 0]}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "map"}},
    }
    (tmp_path / "workflow.json").write_text(json.dumps(prompt), encoding="utf-8")
    places = ["--input-dir", str(tmp_path), "--output-dir", str(tmp_path / "out")]
    assert main(["run", str(tmp_path / "workflow.json"), *places, "--progress", "plain"]) == 0
    written = capsys.readouterr()
    assert "noticeable" in written.err
    assert "mean ΔE2000 3." in written.err
    with Image.open(written.out.strip()) as image:
        assert image.width == 64


def test_scores_that_are_asked_for_are_in_the_findings_and_the_json(
    nodes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    batch = images(2)
    findings, report, *_ = nodes["ArtifactMetric"]().run(batch, repeated(batch), scores="ssim, niqe")["result"]
    assert findings.count("Not measured: SSIM. The package pyiqa is not installed.") == 1
    assert "Not measured: NIQE. It needs 192 pixels on the shorter side; the image is compared at 120x80." in findings
    assert [entry["scores"] for entry in json.loads(report)] == [{}, {}]
    assert "scores" not in json.loads(nodes["ArtifactMetric"]().run(batch, repeated(batch))["result"][1])[0]
    assert nodes["ArtifactMetric"].VALIDATE_INPUTS(scores="ssim") is True
    assert "Unknown score 'beauty'" in nodes["ArtifactMetric"].VALIDATE_INPUTS(scores="beauty")


def test_artifacts_on_the_canvas_shows_a_box_with_a_name_where_the_fault_is(host: LocalHost) -> None:
    from upscale8k.nodes.comfyui.previews import NODES

    rng = np.random.default_rng(2)
    source = torch.full((1, 128, 160, 3), 0.5)
    upscaled = source.repeat_interleave(4, 1).repeat_interleave(4, 2)
    upscaled[0, 128:320, 192:448] += torch.as_tensor(rng.normal(0, 12 / 255, (192, 256, 1)), dtype=torch.float32)
    output = bind_to_host(NODES, host)["ArtifactMetric"]().run(source, upscaled)
    (finding,) = [one for one in json.loads(output["result"][1])[0]["findings"] if one["sentence"].startswith("Grain")]
    assert finding["region"] == {"x": 48, "y": 32, "width": 64, "height": 48}
    (file,) = output["ui"]["images"]
    shown = np.asarray(Image.open(host.folder("temp") / file["subfolder"] / file["filename"]))
    assert shown.shape[1] == 4 * 160  # the least multiple with 512 columns
    assert (shown[4 * 32, 4 * 48 : 4 * 112] == 255).all()
    assert (shown[4 * 32 : 4 * 80, 4 * 48] == 255).all()
    assert (shown[4 * 33 : 4 * 79, 4 * 10] < 255).any(axis=1).all()
