"""What a person asks for, and the pixels that it means."""

import pytest
from upscale8k.runtime.errors import WorkflowError
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.upscale.target_size import ScalePlan, compute_final_size, plan_scale


@pytest.mark.parametrize(
    ("source", "target", "final"),
    [
        (Size(1920, 1080), "8K", Size(7680, 4320)),
        (Size(1920, 1080), "8k", Size(7680, 4320)),
        (Size(1080, 1920), "8K", Size(4320, 7680)),  # a portrait turns the box
        (Size(512, 512), "8K", Size(4320, 4320)),  # the short side decides
        (Size(1920, 800), "8K", Size(7680, 3200)),  # the long side decides
        (Size(4096, 2160), "4K", Size(3840, 2025)),
        (Size(100, 50), "model scale", Size(400, 200)),
        (Size(101, 50), "2x", Size(202, 100)),
        (Size(101, 50), "2.5x", Size(253, 125)),  # 252.5 rounds half up
        (Size(640, 480), "5120x2880", Size(3840, 2880)),
        (Size(640, 480), "1920 × 1440", Size(1920, 1440)),
        (Size(10000, 1), "4K", Size(3840, 1)),
    ],
)
def test_final_size(source: Size, target: str, final: Size) -> None:
    assert compute_final_size(source, 4, target) == final


@pytest.mark.parametrize("target", ["", "big", "x", "0x", "8K!", "0x100", "1920x1080x", "-2x", "nanx", "1e3x", "4K 8K"])
def test_nonsense_is_refused_with_the_possibilities(target: str) -> None:
    with pytest.raises(WorkflowError, match="is not a size") as refused:
        compute_final_size(Size(1920, 1080), 4, target)
    assert "8K" in refused.value.hint


@pytest.mark.parametrize("target", ["100x", "999999x999999"])
def test_a_image_that_no_format_could_hold_is_refused(target: str) -> None:
    with pytest.raises(WorkflowError, match="is an image of"):
        compute_final_size(Size(4000, 3000), 4, target)


@pytest.mark.parametrize(
    ("source", "scale", "target", "expected"),
    [
        (Size(1920, 1080), 4, "8K", ScalePlan(1, Size(7680, 4320), Size(7680, 4320))),
        (Size(480, 270), 4, "8K", ScalePlan(2, Size(7680, 4320), Size(7680, 4320))),
        (Size(1280, 720), 4, "8K", ScalePlan(2, Size(20480, 11520), Size(7680, 4320))),
        (Size(3840, 2160), 4, "8K", ScalePlan(1, Size(15360, 8640), Size(7680, 4320))),
        (Size(3840, 2160), 2, "8K", ScalePlan(1, Size(7680, 4320), Size(7680, 4320))),
        (Size(7680, 4320), 4, "8K", ScalePlan(0, Size(7680, 4320), Size(7680, 4320))),
        (Size(10000, 5625), 4, "8K", ScalePlan(0, Size(10000, 5625), Size(7680, 4320))),
        (Size(100, 100), 1, "model scale", ScalePlan(1, Size(100, 100), Size(100, 100))),
    ],
)
def test_route(source: Size, scale: int, target: str, expected: ScalePlan) -> None:
    assert plan_scale(source, scale, target) == expected


def test_a_restoration_model_cannot_enlarge() -> None:
    with pytest.raises(WorkflowError, match="scale 1x cannot enlarge"):
        plan_scale(Size(100, 100), 1, "8K")
