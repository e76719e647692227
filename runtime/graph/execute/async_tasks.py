"""Run the async calls of a run. The event loop is created for the first of them.

Async nodes overlap with each other. Other nodes run outside the loop, so that they may start loops of their own; async nodes
advance between them, and while nothing else can run.
"""

import asyncio
import inspect
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, cast

Task = asyncio.Task[Any]


class AsyncTasks:
    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None

    def start_task(self, answer: Any) -> Any:
        """Return a task for a coroutine, with the current context variables; return anything else as it is."""
        if not inspect.iscoroutine(answer):
            return answer
        self._runner = self._runner or asyncio.Runner()
        return self._runner.get_loop().create_task(cast("Coroutine[Any, Any, Any]", answer))

    def step(self) -> None:
        """Advance every task by one step."""
        if self._runner is not None:
            self._runner.run(asyncio.sleep(0))

    def wait_for_any(self, tasks: Iterable[Task]) -> None:
        """Return when one of the tasks is done."""
        if self._runner is not None:
            self._runner.run(_wait_for_first(set(tasks)))

    def wait_for_all(self, answers: Iterable[Any]) -> list[Any]:
        """Wait for started calls and return their results. Raises what a call raised."""
        answers = list(answers)
        while waiting := get_unfinished(answers):
            self.wait_for_any(waiting)
        return [unwrap_task(answer) for answer in answers]

    def close(self) -> None:
        """Cancel unfinished tasks and let them clean up."""
        if self._runner is not None:
            self._runner.close()


async def _wait_for_first(tasks: set[Task]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


def get_unfinished(answers: Sequence[Any]) -> list[Task]:
    return [answer for answer in answers if isinstance(answer, asyncio.Task) and not cast("Task", answer).done()]


def unwrap_task(answer: Any) -> Any:
    """Return what a call returned. Raises what it raised."""
    return cast("Task", answer).result() if isinstance(answer, asyncio.Task) else answer
