"""Which events were told, so that none is told twice."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable

from switchgate import v1

# How many events are known again: minutes of a busy node.
REMEMBERED = 1 << 15
# Allows for events that were fired in another order than their time stamps say. In nanoseconds, as all times here.
SLACK = 1_000_000_000

# Events that a session has once: one that the gateway concludes tells nothing new when FreeSWITCH told it.
ONCE_IN_LIFE = frozenset({
    "CHANNEL_CREATE", "CHANNEL_PROGRESS", "CHANNEL_PROGRESS_MEDIA", "CHANNEL_ANSWER", "CHANNEL_HANGUP",
    "CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY",
})

# That of an event of FreeSWITCH (core, sequence), or of something that a session has once (session, name).
Identity = tuple[str, int] | tuple[str, str]


class Heard:
    """Knows events that were told. FreeSWITCH numbers them, so that they are the same at every gateway."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        # With the time of each; the oldest goes first once there are as many as are remembered.
        self._known: OrderedDict[Identity, int] = OrderedDict()
        # When the first message came, by this machine's clock.
        self._start: int | None = None

    def begin(self) -> None:
        """Notes when the subscription began."""
        if self._start is None:
            self._start = time.time_ns()

    def fresh(self, events: Iterable[v1.Event], replayed: bool) -> list[v1.Event]:
        """The events that were not told before. Only a journal that is read from its beginning tells events again."""
        fresh = []
        floor = self._floor()
        for event in events:
            names = _identities(event)
            at = event.time.ToNanoseconds()
            if replayed:
                # What a session has once counts for events of the gateway alone: FreeSWITCH's own have a number.
                told = any(name in self._known and (event.synthetic or isinstance(name[1], int)) for name in names)
                if told or at <= floor:
                    continue
            for name in names:
                self._remember(name, at)
            fresh.append(event)
        return fresh

    def _floor(self) -> int:
        """The time up to which everything was told, or was before the subscription."""
        if not self._known:
            return (self._start or 0) - SLACK
        oldest = next(iter(self._known.values()))
        # No slack once all is taken: what is told again for it would push out what is known, and so have all told again.
        return oldest - SLACK if len(self._known) < self._remembered else oldest

    def _remember(self, name: Identity, at: int) -> None:
        if name in self._known:
            return
        if len(self._known) >= self._remembered:
            self._known.popitem(last=False)
        self._known[name] = at


def _identities(event: v1.Event) -> list[Identity]:
    names: list[Identity] = []
    if not event.synthetic:
        names.append((event.core_uuid, event.sequence))
    if event.session_id and event.name in ONCE_IN_LIFE:
        names.append((event.session_id, event.name))
    return names
