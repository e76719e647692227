"""A display that keeps what it is told."""

from upscale8k.runtime.progress import SilentProgress


class Told(SilentProgress):
    def __init__(self) -> None:
        self.done = 0
        self.sentences: list[str] = []

    def advance(self, steps: int = 1) -> None:
        self.done += steps

    def message(self, text: str) -> None:
        self.sentences.append(text)
