"""What the pages for people say: their links lead somewhere, their commands exist, and the CI snippet is one."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from upscale8k.runtime.cli import commands as surface

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    *(
        ROOT / name
        for name in (
            "README.md",
            "CONTRIBUTING.md",
            "CHANGELOG.md",
            "models/README.md",
            ".github/TROUBLESHOOTING.md",
            ".github/SECURITY.md",
            ".github/PYTHON_API.md",
            ".github/GUIDE.md",
        )
    ),
    *sorted((ROOT / "nodes/web/docs").rglob("en.md")),
]
LINK = re.compile(r"\]\(((?!https?:|#)[^)\s]+)\)")
CODE = re.compile(
    r"`((?:python -m runtime|upscale8k) [^`]+)`|^((?:python -m runtime|upscale8k) .+)$|run: (upscale8k .+)$", re.MULTILINE
)


def commands(page: Path) -> list[str]:
    """Every command line of ours on a page, without the remark behind it."""
    found = (next(filter(None, groups)) for groups in CODE.findall(page.read_text(encoding="utf-8")))
    return [re.split(r"\s{2,}|\s#", line)[0].replace("python -m runtime", "upscale8k") for line in found]


def missing(line: str) -> str | None:
    """What of a command line does not exist, or None: a command, or an option of it."""
    command: Any = typer.main.get_command(surface._typer)
    words = shlex.split(line.replace("...", ""))[1:]
    while words and words[0] in getattr(command, "commands", ()):
        command = command.commands[words.pop(0)]
    if hasattr(command, "commands") and words and not words[0].startswith("-"):
        return words[0]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    return next((word for word in words if re.match(r"-{1,2}[a-z]", word) and word.partition("=")[0] not in known), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_names_only_what_exists(page: Path) -> None:
    start = ROOT / "nodes/web/docs" if page.name == "en.md" else page.parent
    assert [link for link in LINK.findall(page.read_text(encoding="utf-8")) if not (start / link).exists()] == []
    assert [(line, missing(line)) for line in commands(page) if missing(line)] == []


def test_each_promise_of_security_names_a_test_that_exists() -> None:
    page = (ROOT / ".github/SECURITY.md").read_text(encoding="utf-8")
    promises = [line for line in page.splitlines() if line.startswith("| ")][1:]
    assert len(promises) > 8
    for promise in promises:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", promise)
        assert named, promise
        for file, function in named:
            assert f"def {function}(" in (ROOT / file).read_text(encoding="utf-8"), (file, function)


def test_a_command_that_does_not_exist_would_be_found() -> None:
    assert missing("upscale8k upscale a.png --tiles 3") == "--tiles"
    assert missing("upscale8k enlarge a.png") == "enlarge"
    assert missing("upscale8k models pull realesrgan-x2plus") is None
    assert len(commands(ROOT / "README.md")) > 10


def test_the_snippet_for_ci_is_a_workflow_of_github() -> None:
    (snippet,) = re.findall(r"```yaml\n(.+?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    workflow = yaml.safe_load(snippet)
    (job,) = workflow["jobs"].values()
    assert job["runs-on"]
    assert all(("run" in step) != ("uses" in step) for step in job["steps"])
    ours = [step["run"] for step in job["steps"] if step.get("run", "").startswith("upscale8k")]
    assert [line.split()[1] for line in ours] == ["check", "run", "run"]
    for name in (word for line in ours for word in line.split() if word.startswith("workflows/")):
        assert (ROOT / name).exists()
