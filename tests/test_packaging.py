"""What is published: one list of dependencies in two files, complete metadata, and a wheel that holds the package whole."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from PIL import Image
from upscale8k.nodes import OWN_NODES

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CODE = ("nodes", "runtime")
DATA = {"upscale8k.models", "upscale8k.workflows", "upscale8k.workflows.media"}
NOT_OURS = (".git", ".cache", ".venv", "__pycache__", "build", "dist", "*.egg-info", "tests", ".hypothesis", "output", "input")


def modules() -> set[str]:
    """Every Python file of the package, relative to the checkout."""
    return {path.relative_to(ROOT).as_posix() for top in CODE for path in (ROOT / top).rglob("*.py")} | {"__init__.py"}


def test_both_lists_of_dependencies_are_one() -> None:
    """ComfyUI's manager reads requirements.txt, pip reads pyproject.toml."""
    lines = (line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines())
    assert [line for line in lines if line] == PROJECT["project"]["dependencies"]


def test_no_dependency_has_an_upper_bound() -> None:
    """Inside ComfyUI these libraries are ComfyUI's; a bound of ours would take its torch away."""
    for line in PROJECT["project"]["dependencies"]:
        assert {bound.operator for bound in Requirement(line).specifier} == {">="}, line


def test_the_registry_gets_what_it_asks_for() -> None:
    project, comfy = PROJECT["project"], PROJECT["tool"]["comfy"]
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,99}", project["name"])
    assert "comfyui" not in project["name"]
    assert project["license"] == "MIT"
    Version(project["version"])
    assert project["description"]
    assert project["urls"]["Repository"].startswith("https://")
    assert comfy["PublisherId"]
    assert comfy["DisplayName"] == "Upscale8K"
    assert comfy["requires-comfyui"].startswith(">=")
    assert (ROOT / project["readme"]).is_file()


def test_every_template_has_a_thumbnail_of_its_own() -> None:
    """ComfyUI shows the name of the file and this image; those of two templates that look alike say nothing."""
    small = {}
    for workflow in sorted((ROOT / "workflows").glob("*.json")):
        with Image.open(workflow.with_suffix(".jpg")) as image:
            assert image.size == (400, 400)
            small[workflow.stem] = image.convert("RGB").crop((0, 60, 400, 260)).resize((20, 10)).tobytes()
    for first, second in combinations(small, 2):
        apart = sum(abs(one - other) for one, other in zip(small[first], small[second], strict=True)) / len(small[first])
        assert apart > 12, (first, second, apart)


def test_the_images_of_the_registry_have_its_sizes() -> None:
    """An icon is square and at most 400 pixels wide; a banner is 21:9. The addresses are those of files in the repository."""
    for key, fits in (("Icon", lambda size: size == (400, 400)), ("Banner", lambda size: size[0] * 9 == size[1] * 21)):
        repository, branch, name = re.fullmatch(
            r"https://raw\.githubusercontent\.com/([^/]+/[^/]+)/([^/]+)/(.+)", PROJECT["tool"]["comfy"][key]
        ).groups()
        assert PROJECT["project"]["urls"]["Repository"].endswith(repository)
        assert branch == "main"
        with Image.open(ROOT / name) as image:
            assert fits(image.size), image.size


def archive() -> set[str]:
    """What ``comfy node pack`` puts into its archive: what git knows, without what .comfyignore names."""

    def listed(*options: str) -> set[str]:
        command = ["git", "ls-files", "-z", "--cached", "--others", *options]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return {name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()}

    return listed("--exclude-standard") - listed("--ignored", "--exclude-from=.comfyignore")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_the_archive_for_the_registry_holds_what_a_user_needs() -> None:
    names = archive()
    assert modules() <= names
    assert {"pyproject.toml", "requirements.txt", "README.md", "LICENSE", "models/catalog.toml"} <= names
    templates = {name.removesuffix(".json") for name in names if re.fullmatch(r"workflows/[^/]+\.json", name)}
    assert {f"{name}.jpg" for name in templates} <= names
    assert sum("/subgraphs/" in name for name in names) == 2
    for language in ("en", "de", "ja", "zh"):
        assert f"locales/{language}/nodeDefs.json" in names
    assert {f"nodes/web/docs/{node}/en.md" for node in OWN_NODES} <= names
    assert [name for name in names if name.startswith(("tests/", ".ci/"))] == []
    assert sum((ROOT / name).stat().st_size for name in names) < 6_400_000  # 1.9 MB are the network of image_kind


def test_every_folder_with_code_is_a_package_of_the_wheel() -> None:
    """A new room that is not in [tool.setuptools] packages works in a checkout and is missing after pip install."""
    folders = {Path(name).parent.as_posix() for name in modules()}
    wanted = {"upscale8k" if folder == "." else f"upscale8k.{folder.replace('/', '.')}" for folder in folders}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == wanted | DATA


def test_every_package_has_its_door_sign() -> None:
    for folder in {Path(name).parent for name in modules()}:
        assert (ROOT / folder / "__init__.py").is_file(), f"{folder} has no __init__.py"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy because the build leaves folders behind. Needs no network: setuptools is here."""
    copy = tmp_path_factory.mktemp("build") / "checkout"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_OURS))
    out = copy.parent / "wheels"
    out.mkdir()
    script = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", script, out], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not re.search("Deprecat|would be ignored", done.stderr), done.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.mark.full
def test_the_wheel_types_the_examples_of_its_page_strictly_and_finds_mistakes(wheel: Path, tmp_path: Path) -> None:
    """A minute. The package is that of the wheel, for py.typed counts there."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    assert (tmp_path / "site/upscale8k/py.typed").is_file()
    page = (ROOT / ".github/PYTHON_API.md").read_text(encoding="utf-8")
    for number, example in enumerate(re.findall(r"```python\n(.*?)```", page, re.DOTALL)):
        (tmp_path / f"example_{number}.py").write_text(example, encoding="utf-8")
    settings = {"include": ["*.py"], "extraPaths": ["site"], "typeCheckingMode": "strict", "pythonVersion": "3.11"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")

    def check_types() -> tuple[int, str]:
        command = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable, "--project", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        return done.returncode, done.stdout

    assert check_types()[0] == 0, check_types()[1]
    for number, mistake in enumerate(
        ('number: int = upscale("a.png")', 'upscale("a.png", size="2x")', 'upscale("a.png", tile="1")')
    ):
        (tmp_path / f"wrong_{number}.py").write_text(f"from upscale8k import upscale\n\n{mistake}\n", encoding="utf-8")
    code, said = check_types()
    assert (code, set(re.findall(r"wrong_(\d)\.py:3:\d+ - error", said))) == (1, {"0", "1", "2"}), said


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    patterns = (
        "models/catalog.toml",
        "workflows/*.json",
        "runtime/report/*.[cj]*",
        "runtime/bench/*.j2",
        "runtime/metrics/*.npz",
    )
    found = (path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file())
    shipped = {path.relative_to(ROOT).as_posix() for path in found}
    media = (ROOT / "workflows/media").iterdir()
    shipped |= {path.relative_to(ROOT).as_posix() for path in media if path.is_file()}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (entry_points,) = [archive.read(name).decode() for name in names if name.endswith(".dist-info/entry_points.txt")]
    inside = {name for name in names if ".dist-info/" not in name}
    assert inside == {f"upscale8k/{name}" for name in modules() | shipped | {"py.typed"}}
    assert entry_points.split() == ["[console_scripts]", "upscale8k", "=", "upscale8k.runtime.cli:main"]
    assert any(name.endswith("LICENSE") for name in names)


def test_the_installed_package_runs_under_its_own_name(wheel: Path, tmp_path: Path) -> None:
    """A wheel of pure Python is installed by unpacking it. The catalog, the workflows and their media come along."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "XDG_DATA_HOME": str(tmp_path / "data")}
    environment.pop("UPSCALE8K_MODELS_DIR", None)

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "upscale8k", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    workflow = tmp_path / "site/upscale8k/workflows/image_any.json"
    assert run("check", str(workflow)) == f"{workflow}: 4 nodes, no problems.\n"
    assert run("--version") == f"{PROJECT['project']['version']}\n"
    assert "image_8k" in run("workflows", "list").split()
    assert run("check", "image_any").endswith("image_any.json: 4 nodes, no problems.\n")
    (result,) = run("run", "image_8k", "--backend", "null", "--progress", "none", "--set", "TiledUpscale.target=2x").split()
    with Image.open(tmp_path / result) as image:
        assert image.size == (960, 540), "twice the sample"
    script = "from upscale8k.runtime.paths import get_default_models_dir; print(get_default_models_dir())"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    if sys.platform == "linux":
        assert done.stdout.strip() == str(tmp_path / "data/upscale8k/models"), "not in site-packages"


def test_the_container_has_what_its_file_names() -> None:
    """Not built here: its instructions are known, and its entry point and variables are those of the package."""
    lines = [
        line for line in (ROOT / ".docker/Dockerfile").read_text(encoding="utf-8").splitlines() if line[:1] not in ("", "#")
    ]
    known = {"FROM", "ARG", "RUN", "COPY", "ENV", "VOLUME", "WORKDIR", "ENTRYPOINT", "CMD"}
    assert {line.split()[0] for line in lines} == known
    (entry_point,) = (line for line in lines if line.startswith("ENTRYPOINT"))
    assert entry_point == f'ENTRYPOINT ["{next(iter(PROJECT["project"]["scripts"]))}"]'
    code = "".join((ROOT / "runtime" / name).read_text(encoding="utf-8") for name in ("paths.py", "cli/run_options.py"))
    for variable in re.findall(r"(UPSCALE8K_\w+)=", "\n".join(lines)):
        assert f'"{variable}"' in code
