"""A stream of events that goes on by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
import grpc.aio

from switchgate import v1
from switchgate.errors import Error
from switchgate.heard import Heard
from switchgate.retry import Pauses, connection_ended

# How many seconds a stream has to last for the next pause to be a short one again.
STEADY = 5.0


@dataclass(frozen=True)
class Moved:
    """Says that no gateway holds the events behind the last cursor: its gateway is gone, or was away for longer than its
    journal reaches.

    A subscription that began with a snapshot begins with another one. Any other goes on with the oldest event of the new
    journal, without those that it has told. What is missing then is what happened while no gateway was in service, or
    before the oldest event of the journal: nothing, when gateways are replaced one by one.
    """

    origin: str
    """The last cursor, of the journal that is no longer there."""
    error: Error
    """The reason, CURSOR_LOST."""


@dataclass(frozen=True)
class Update:
    """What a `Subscription` tells; one of its fields is set, beside `cursor`."""

    cursor: str
    """Behind everything told so far, this update included. To keep it is enough to go on after a restart of the program,
    with the same gateway."""
    events: list[v1.Event] = field(default_factory=list)
    """New events, in order."""
    gap: v1.Gap | None = None
    """The gateway misses events, see its reason."""
    moved: Moved | None = None
    """The stream goes on in another place than behind the last cursor."""
    node_state: v1.Node | None = None
    """A node whose state has changed."""
    snapshot: v1.Snapshot | None = None
    """A part of what there is, of a subscription that begins so."""
    snapshot_end: v1.SnapshotEnd | None = None
    """The snapshot is whole. After a `moved` another one comes."""


class Subscription(AsyncIterator[Update]):
    """Updates of a subscription, one by one, until `close`, or until the gateway refuses it for good: the request is
    malformed, or the caller may not, which raises an `Error`.

    It is for one task at a time. A task that is cancelled while it waits loses nothing: the next one goes on there.
    """

    def __init__(
        self, stub: Any, request: v1.SubscribeRequest | None,
        on_reconnect: Callable[[BaseException], None] | None = None,
    ) -> None:
        self._stub = stub
        self._request = v1.SubscribeRequest()
        if request is not None:
            self._request.CopyFrom(request)
        self._on_reconnect = on_reconnect
        self._stream: Any = None
        self._messages: AsyncIterator[v1.SubscribeResponse] | None = None
        self._began = 0.0
        self._pauses: Pauses | None = None
        self._cursor = self._request.start.cursor
        # Whether the subscription wants snapshots, and whether one is under way: it cannot be resumed.
        self._snapshots = self._request.start.HasField("snapshot")
        self._within = False
        self._heard = Heard()
        # Whether events may come that were told before.
        self._replayed = False
        self._pending: list[Update] = []
        self._closed = False

    @property
    def cursor(self) -> str:
        """Behind everything that was told. Empty before the first update."""
        return self._cursor

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the subscription; whoever waits for an update gets none."""
        self._closed = True
        self._leave()

    async def __anext__(self) -> Update:
        while not self._closed:
            if self._pending:
                return self._pending.pop(0)
            try:
                message = await self._receive()
            except asyncio.CancelledError:
                self._leave()
                # By `close` the stream alone is cancelled, by its task whoever waits here.
                if self._closed and not _being_cancelled():
                    break
                raise
            except (grpc.aio.AioRpcError, StopAsyncIteration) as failed:
                if self._closed:
                    break
                await self._recover(failed)
                continue
            update = self._take(message)
            if update is not None:
                return update
        raise StopAsyncIteration

    async def _receive(self) -> v1.SubscribeResponse:
        """Waits for a message of the stream, which is begun first where there is none."""
        if self._messages is None:
            if self._within:
                # The cursor of a part lies behind all of the snapshot.
                self._request.start.snapshot.SetInParent()
            self._stream = self._stub.Subscribe(self._request)
            self._messages = self._stream.__aiter__()
            self._began = time.monotonic()
        return await anext(self._messages)

    def _take(self, message: v1.SubscribeResponse) -> Update | None:
        """Makes an update of a message; None for one that tells nothing new."""
        self._heard.begin()
        kind = message.WhichOneof("message")
        self._within = kind == "snapshot" or self._within and kind != "snapshot_end"
        self._cursor = message.cursor
        if not self._within:
            self._request.start.cursor = self._cursor
        if kind == "events":
            events = self._heard.fresh(message.events.events, self._replayed)
            return Update(self._cursor, events=events) if events else None
        if kind is None or kind == "checkpoint":
            return None
        return Update(self._cursor, **{kind: getattr(message, kind)})

    async def _recover(self, failed: grpc.aio.AioRpcError | StopAsyncIteration) -> None:
        """Makes ready for another stream behind one that failed, and pauses; raises when there is no use in one."""
        steadily = self._stream is not None and time.monotonic() - self._began > STEADY
        self._leave()
        # A stream that ends in good order was ended by a proxy; the gateway does not.
        error = Error.of(failed)
        if error is not None:
            if error.reason == v1.ERROR_REASON_CURSOR_LOST:
                self._move(error)
            elif not (
                connection_ended(error) or error.retry_after is not None
                or error.reason == v1.ERROR_REASON_SLOW_CONSUMER
                or error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            ):
                raise error
        if self._on_reconnect is not None:
            self._on_reconnect(error or failed)
        if self._pauses is None or steadily:
            self._pauses = Pauses()
        self._pauses.end = time.monotonic() + 3600
        await self._pauses.wait(error)

    def _move(self, error: Error) -> None:
        """Goes on where the journal begins, or with what there is."""
        if self._snapshots:
            self._request.start.snapshot.SetInParent()
        else:
            self._request.start.earliest.SetInParent()
            self._replayed = True
        self._pending.append(Update(self._cursor, moved=Moved(self._cursor, error)))

    def _leave(self) -> None:
        if self._stream is not None:
            self._stream.cancel()
        self._stream = self._messages = None


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
