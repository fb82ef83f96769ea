"""An event loop whose time stands still while anything happens, and jumps to the next timer when nothing does.

So hours of the real engine, with its real sleeps and timeouts, pass in seconds, and in the same order every time. The
store works in threads, whose answers would come in whenever the machine lets them: while `begin_work` announces one,
the loop finishes its round and then does nothing until the answer is there. There is no other input or output.
"""

from __future__ import annotations

import asyncio
import queue
import selectors
import threading
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import Any, TypeVarTuple, Unpack

Arguments = TypeVarTuple("Arguments")
LONGEST_WAIT = 30.0
"""Real seconds that work in a thread may take before the run counts as stuck."""

ROUND_SECONDS = 1e-6
"""Time that a round of the loop takes: else who sleeps for less than the clock can tell would sleep for ever."""


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for a timer it moves the time on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.is_busy = False
        self.take_answer: Callable[[], None] = lambda: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += ROUND_SECONDS
        if timeout is None or self.is_busy:
            self.take_answer()
            self.is_busy = False
        elif timeout > 0:
            self.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop; `time()` starts at 0 and is in seconds. `failures` are what nobody awaited."""

    def __init__(self) -> None:
        self._selector_in_time = _JumpingSelector()
        self._selector_in_time.take_answer = self._take_answer
        self._answers: queue.SimpleQueue[asyncio.Handle] = queue.SimpleQueue()
        self._own_thread = threading.get_ident()
        self.failures: list[BaseException] = []
        super().__init__(self._selector_in_time)
        self.set_exception_handler(self._note)

    def time(self) -> float:
        return self._selector_in_time.now

    def begin_work(self) -> None:
        """A thread works for this loop, one at a time: nothing else happens until it has answered."""
        self._selector_in_time.is_busy = True

    def end_work(self) -> None:
        """It has answered, or was never begun."""
        self._selector_in_time.is_busy = False

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Arguments]], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.Handle:
        # An answer that was there before anybody waited for it comes from this thread, and waits like any other.
        if threading.get_ident() == self._own_thread and not self._selector_in_time.is_busy:
            return self.call_soon(callback, *args, context=context)
        answer = asyncio.Handle(callback, args, self, context)
        self._answers.put(answer)
        return answer

    def _take_answer(self) -> None:
        try:
            answer = self._answers.get(timeout=LONGEST_WAIT)
        except queue.Empty:
            raise RuntimeError("nothing happens any more: the run is stuck") from None
        self.call_soon(answer._run)

    def _note(self, _: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        if isinstance(error := context.get("exception"), BaseException):
            self.failures.append(error)
