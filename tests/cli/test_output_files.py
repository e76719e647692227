"""What nodes show of their files, whatever packs put there."""

from pathlib import Path
from typing import Any

import pytest
from upscale8k.runtime.cli.run_workflow import _find_output_files
from upscale8k.runtime.host import LocalHost


@pytest.mark.parametrize(
    ("ui", "names"),
    [
        ({"images": ["a string", None, 3, ["list"]]}, []),
        ({"images": [{"type": "output"}, {"type": "output", "filename": 7}, {"filename": "a.png", "type": "temp"}]}, []),
        ({"images": [{"type": "output", "filename": "a.png", "subfolder": None}]}, ["a.png"]),
        ({"images": [{"type": "output", "filename": "a.png", "subfolder": "b"}], "text": ["x"]}, ["b/a.png"]),
        (
            {"series": [{"type": "output", "filename": "%05d.png"}], "images": [{"type": "output", "filename": "1.png"}]},
            ["%05d.png"],
        ),
        ({}, []),
    ],
)
def test_only_what_names_a_file_is_a_file(ui: dict[str, Any], names: list[str], tmp_path: Path) -> None:
    assert _find_output_files(ui, LocalHost(output_dir=tmp_path)) == [tmp_path / name for name in names]
