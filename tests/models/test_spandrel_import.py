"""spandrel without what it brings along unused, in an interpreter of its own each time."""

import ast
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

NETWORKS = "from runtime.bootstrap import load_pack; load_pack(); import upscale8k.runtime.models.spandrel_import, sys, torch;"


def said(root: Path, script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_torchvision_and_torchs_compiler_come_only_with_a_network_that_calls_torchvision(root: Path) -> None:
    """(1 - 0.5) / 0.25 in RestoreFormer's module, and a turn by 90 degrees with LaMa's names."""
    script = f"""{NETWORKS}
print([name in sys.modules for name in ('spandrel', 'torchvision', 'torch._dynamo')])
from spandrel.architectures.RestoreFormer import tv_normalize
from spandrel.architectures.LaMa.__arch.LaMa import InterpolationMode, rotate
import torchvision.transforms.functional as real
turned = rotate(torch.arange(9.0).reshape(1, 3, 3), 90, InterpolationMode.BILINEAR)
print(tv_normalize(torch.ones(3, 1, 1), [0.5] * 3, [0.25] * 3).tolist(), turned.tolist())
print(real.rotate is rotate, real.InterpolationMode.BILINEAR is InterpolationMode.BILINEAR)"""
    imported, first, second = said(root, script).splitlines()
    assert imported == "[True, False, False]"
    assert first == "[[[2.0]], [[2.0]], [[2.0]]] [[[2.0, 5.0, 8.0], [1.0, 4.0, 7.0], [0.0, 3.0, 6.0]]]"
    assert second == "False True"


@pytest.mark.parametrize("before", ["torchvision", "spandrel"])
def test_modules_that_are_already_imported_do_not_change(root: Path, before: str) -> None:
    script = f"import {before}; {NETWORKS} import torchvision; from spandrel.architectures.RestoreFormer import tv_normalize;"
    assert said(root, f"{script} print(tv_normalize is torchvision.transforms.functional.normalize)") == "True"


def test_a_spandrel_that_wants_more_of_torchvision_gets_it(root: Path, tmp_path: Path) -> None:
    """One that derives a class of its own from torchvision's while it is imported."""
    found = find_spec("spandrel")
    assert found and found.origin
    init = Path(found.origin)
    shutil.copytree(init.parent, tmp_path / "spandrel", ignore=shutil.ignore_patterns("__pycache__"))
    more = "from torchvision.transforms.functional import InterpolationMode as Mode\nassert issubclass(Mode, object)\n"
    (tmp_path / "spandrel" / "__init__.py").write_text(more + init.read_text())
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {NETWORKS} from spandrel import Mode, __file__ as place;"
    assert said(root, f"{script} print(isinstance(Mode, type), place)") == f"True {tmp_path / 'spandrel' / '__init__.py'}"


def test_spandrel_is_imported_in_one_place(root: Path) -> None:
    importers = set()
    for path in (root / "runtime").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            if any(name.split(".")[0] == "spandrel" for name in names):
                importers.add(path.relative_to(root).as_posix())
    assert importers == {"runtime/models/spandrel_import.py"}
