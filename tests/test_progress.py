"""The adapters between a piece of work and the display of a larger one."""

from upscale8k.runtime.progress import MessageLog, PreviewProgress, ProgressRelay, ScaledProgress, SilentProgress


class Recorder(SilentProgress):
    def __init__(self) -> None:
        self.steps: list[int] = []
        self.messages: list[str] = []
        self.previews: list[object] = []
        self.checks = 0

    def advance(self, steps: int = 1) -> None:
        self.steps.append(steps)

    def message(self, text: str) -> None:
        self.messages.append(text)

    def preview(self, pixels: object) -> None:
        self.previews.append(pixels)

    def check_cancelled(self) -> None:
        self.checks += 1


def test_the_steps_of_a_part_add_up_to_its_share() -> None:
    whole = Recorder()
    part = ScaledProgress(whole, total=7, share=100)
    for _ in range(7):
        part.advance()
    part.preview("pixels")
    part.message("half way")
    part.check_cancelled()
    assert sum(whole.steps) == 100
    assert max(whole.steps) - min(whole.steps) <= 1
    assert (whole.messages, whole.previews, whole.checks) == (["half way"], [], 1)


def test_a_part_without_a_share_only_asks_whether_to_stop() -> None:
    whole = Recorder()
    ScaledProgress(whole, 1, 0).advance(500)
    assert whole.steps == [0]


def test_the_result_is_shown_after_every_step() -> None:
    whole = Recorder()
    PreviewProgress(whole, "result").advance(3)
    assert (whole.steps, whole.previews) == ([3], ["result"])


def test_a_log_passes_a_message_on_once() -> None:
    whole = Recorder()
    log = MessageLog(whole)
    for text in ("a", "b", "a"):
        log.message(text)
    assert log.messages == whole.messages == ["a", "b"]


def test_messages_of_a_recipe_wait_for_whoever_runs_it() -> None:
    relay, first, second = ProgressRelay(), Recorder(), Recorder()
    relay.message("before")
    relay.message("before")
    relay.check_cancelled()
    with relay.forward_to(first):
        relay.message("during")
        relay.message("during")
        relay.check_cancelled()
    relay.message("after")
    with relay.forward_to(second):
        pass
    assert first.messages == ["before", "during", "during"]
    assert (second.messages, first.checks, second.checks) == (["after"], 1, 0)
