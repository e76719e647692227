"""Build the wheel with ``py.typed``, which belongs to the top of a package, where the checkout holds no further file."""

from pathlib import Path

from setuptools.command.build_py import build_py


class BuildTyped(build_py):
    """setuptools loads this file alone, by its name in pyproject.toml."""

    def run(self) -> None:
        super().run()
        Path(self.build_lib, "upscale8k", "py.typed").touch()
