import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

import grpc
import pytest

import switchgate
from conftest import Fake, Refusal
from switchgate import v1
from switchgate.heard import Heard

CODE = grpc.StatusCode
LOST = Refusal(CODE.UNAVAILABLE)
MOVED = Refusal(CODE.OUT_OF_RANGE, "CURSOR_LOST", {"why": "other_epoch"})
SNAPSHOT = v1.SubscribeRequest(start=v1.SubscribeStart(snapshot=v1.StartSnapshot()))


def event(sequence: int, name: str = "CUSTOM", session: str = "", synthetic: bool = False, ago: float = 0) -> v1.Event:
    made = v1.Event(
        core_uuid="core", sequence=sequence, name=name, session_id=session, synthetic=synthetic, cursor=f"c{sequence}",
    )
    made.time.FromNanoseconds(time.time_ns() - int(ago * 1e9))
    return made


def batch(cursor: str, *events: v1.Event) -> v1.SubscribeResponse:
    return v1.SubscribeResponse(cursor=cursor, events=v1.EventBatch(events=events))


def part(session: str) -> v1.SubscribeResponse:
    return v1.SubscribeResponse(cursor="c0", snapshot=v1.Snapshot(sessions=[v1.Session(session_id=session)]))


def end() -> v1.SubscribeResponse:
    return v1.SubscribeResponse(cursor="c0", snapshot_end=v1.SnapshotEnd())


def checkpoint(cursor: str) -> v1.SubscribeResponse:
    return v1.SubscribeResponse(cursor=cursor, checkpoint=v1.Checkpoint())


Answers = Callable[[int, v1.SubscribeRequest], Iterable[Any]]


async def collect(
    fake: Fake, client: switchgate.Client, answers: Answers, updates: int, request: v1.SubscribeRequest | None = None,
) -> list[str]:
    """What is told until so many updates have come."""
    fake.on["Subscribe"] = answers
    told = []
    async with asyncio.timeout(10), client.subscribe(request) as subscription:
        for _ in range(updates):
            update = await anext(subscription)
            if update.moved:
                told.append(f"moved from {update.moved.origin}")
            elif update.gap:
                told.append(f"gap {v1.GapReason.Name(update.gap.reason)}")
            elif update.snapshot:
                told.append(f"snapshot {update.snapshot.sessions[0].session_id}")
            elif update.snapshot_end:
                told.append("snapshot end")
            told += [f"{each.name} {each.sequence}" for each in update.events]
            assert update.cursor == subscription.cursor
    return told


async def test_a_subscription_goes_on_behind_its_last_cursor(fake: Fake, client: switchgate.Client) -> None:
    starts = []

    def answers(at: int, request: v1.SubscribeRequest) -> list[Any]:
        starts.append(request.start.cursor)
        gap = v1.SubscribeResponse(cursor="c5", gap=v1.Gap(reason=v1.GAP_REASON_LINK_LOST))
        streams: dict[int, list[Any]] = {
            1: [checkpoint("c0"), batch("c1", event(1)), Refusal(CODE.UNAVAILABLE, "SHUTTING_DOWN", {"cursor": "c1"})],
            # Only the cursor has moved, then the connection is lost.
            2: [checkpoint("c5"), LOST],
            3: [Refusal(CODE.RESOURCE_EXHAUSTED, "SLOW_CONSUMER", {"cursor": "c5"})],
            4: [gap, batch("c6", event(6))],
        }
        return streams[at]

    assert await collect(fake, client, answers, 3) == ["CUSTOM 1", "gap GAP_REASON_LINK_LOST", "CUSTOM 6"]
    assert starts == ["", "c1", "c5", "c5"]


async def test_at_another_gateway_no_event_is_told_twice_and_none_is_missing(
    fake: Fake, client: switchgate.Client,
) -> None:
    first, second, third, before = event(1), event(2), event(3), event(0, ago=60)
    hangup = event(7, "CHANNEL_HANGUP", "leg")
    concluded = event(0, "CHANNEL_HANGUP", "leg", synthetic=True)
    other = event(0, "CHANNEL_HANGUP", "other", synthetic=True)

    def answers(at: int, request: v1.SubscribeRequest) -> list[Any]:
        if at == 1:
            return [batch("a2", first, second, hangup), LOST]
        if at == 2:
            return [MOVED if request.start.cursor == "a2" else Refusal(CODE.INVALID_ARGUMENT)]
        if not request.start.HasField("earliest"):
            return [Refusal(CODE.INVALID_ARGUMENT)]
        return [batch("b2", before, first, second), batch("b5", concluded, other, third)]

    assert await collect(fake, client, answers, 3) == [
        "CUSTOM 1", "CUSTOM 2", "CHANNEL_HANGUP 7", "moved from a2", "CHANNEL_HANGUP 0", "CUSTOM 3",
    ]


async def test_a_snapshot_that_was_cut_is_begun_anew(fake: Fake, client: switchgate.Client) -> None:
    def answers(at: int, request: v1.SubscribeRequest) -> list[Any]:
        snapshot = request.start.HasField("snapshot")
        if at == 1 and snapshot:
            return [part("a"), LOST]
        if at == 2 and snapshot:
            return [part("a"), end(), batch("c1", event(1)), LOST]
        if at == 3 and request.start.cursor == "c1":
            return [MOVED]
        return [part("b"), end()] if at == 4 and snapshot else [Refusal(CODE.INVALID_ARGUMENT)]

    assert await collect(fake, client, answers, 7, SNAPSHOT) == [
        "snapshot a", "snapshot a", "snapshot end", "CUSTOM 1", "moved from c1", "snapshot b", "snapshot end",
    ]


async def test_a_subscription_that_is_refused_ends(fake: Fake, client: switchgate.Client) -> None:
    fake.on["Subscribe"] = lambda *_: [Refusal(CODE.PERMISSION_DENIED, "PERMISSION_DENIED")]
    with pytest.raises(switchgate.Error) as caught:
        await anext(client.subscribe())
    assert caught.value.reason == v1.ERROR_REASON_PERMISSION_DENIED and fake.counts["Subscribe"] == 1


async def test_why_a_stream_ended_is_told(fake: Fake, client: switchgate.Client) -> None:
    fake.on["Subscribe"] = lambda at, _: [batch("c1", event(1)), LOST] if at == 1 else [batch("c2", event(2))]
    why: list[BaseException] = []
    async with asyncio.timeout(10), client.subscribe(on_reconnect=why.append) as subscription:
        await anext(subscription)
        await anext(subscription)
    [error] = why
    assert isinstance(error, switchgate.Error) and error.code() == CODE.UNAVAILABLE


async def test_a_task_that_is_cancelled_loses_nothing(fake: Fake, client: switchgate.Client) -> None:
    starts = []

    def answers(at: int, request: v1.SubscribeRequest) -> list[Any]:
        starts.append(request.start.cursor)
        return [batch("c1", event(1))] if at == 1 else [batch("c2", event(2))]

    fake.on["Subscribe"] = answers
    subscription = client.subscribe()
    async with asyncio.timeout(10):
        await anext(subscription)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(subscription), 0.05)
        assert (await anext(subscription)).cursor == "c2"
    assert starts == ["", "c1"]
    subscription.close()


async def test_closing_ends_whoever_waits(fake: Fake, client: switchgate.Client) -> None:
    fake.on["Subscribe"] = lambda *_: [batch("c1", event(1))]
    subscription = client.subscribe()
    told = []

    async def read() -> None:
        async for update in subscription:
            told.append(update.cursor)
            asyncio.get_running_loop().call_soon(subscription.close)

    await asyncio.wait_for(read(), 10)
    assert told == ["c1"]


def test_the_oldest_events_are_forgotten_and_not_told_again() -> None:
    heard = Heard(remembered=100)
    heard.begin()
    everything = [event(sequence, ago=-sequence) for sequence in range(105)]
    assert heard.fresh(everything, replayed=False) == everything
    assert heard.fresh(everything, replayed=True) == []
