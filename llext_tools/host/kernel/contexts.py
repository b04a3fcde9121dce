"""What the kernel knows of a thread and of a timer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from llext_tools.host.areas import Area
from llext_tools.host.kernel.sched import Thread
from llext_tools.host.places import Frames

if TYPE_CHECKING:
    from llext_tools.host.kernel.fibers import Fiber


class Leave(BaseException):
    """Raised in a thread that is aborted, so that all that it is in the middle of is left."""


@dataclass(eq=False, slots=True, kw_only=True)
class Context(Thread):
    """A thread with what it takes to go on with it. ``stack`` is that of the extension; the main thread has none."""

    frames: Frames = field(default_factory=Frames)
    stack: Area | None = None
    entry: int = 0
    arguments: tuple[int, ...] = ()
    saved: object = None
    fiber: Fiber | None = None
    text: int = 0  # where its name is in memory
    custom: int = 0
    masked: bool = False  # whether it has locked interrupts
    runs: int = 0  # how often it got the CPU
    until: int | None = None  # when its sleep ends or ended
    work: Callable[[], None] | None = None  # what it does instead of calling a function
    service: int = 0  # what a thread of the kernel's own waits for while it has nothing to do

    @property
    def idle(self) -> bool:
        """Whether it is one of the kernel's own, without work."""
        return bool(self.service and self.wait and self.wait.object == self.service)


def values_of(thread: Context) -> dict[str, Any]:
    """All fields but the fiber; of the frames as they are now."""
    values = {field.name: getattr(thread, field.name) for field in fields(thread) if field.name != "fiber"}
    return values | {"frames": thread.frames.copy()}


@dataclass(eq=False, slots=True)
class Timer:
    """A timer that runs. ``period`` in microseconds, 0 if it expires once."""

    address: int
    period: int
