"""Which RPCs may be sent again, and when."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from switchgate import v1
from switchgate.errors import Error
from switchgate.v1 import (
    call_service_pb2, event_service_pb2, job_service_pb2, node_service_pb2, session_service_pb2,
)

# The pause before the first repeat, in seconds; it is doubled for each further one, up to the longest.
FIRST_PAUSE = 0.025
LONGEST_PAUSE = 2.0
# Bounds the repeats of an RPC without a deadline: as long as the gateway gives one by default.
PATIENCE = 30.0

# RPCs that change something, of which a second time changes nothing more, at whichever gateway.
REPEATABLE = frozenset({
    "SessionService/Answer", "SessionService/PreAnswer", "SessionService/RingReady", "SessionService/Hangup",
    "SessionService/Park", "SessionService/Hold", "SessionService/Unhold", "SessionService/Mute", "SessionService/Unmute",
    "SessionService/SetVariables", "SessionService/UnsetVariables", "SessionService/StartRecording",
    "SessionService/MaskRecording", "SessionService/UnmaskRecording", "SessionService/BypassMedia",
    "SessionService/StartAmd", "SessionService/StopAmd", "CallService/HangupCall", "CallService/AppendSession",
    "NodeService/DrainNode", "NodeService/UndrainNode", "NodeService/ReconcileNode",
})


def methods() -> Iterator[MethodDescriptor]:
    """All RPCs."""
    for file in (session_service_pb2, call_service_pb2, job_service_pb2, event_service_pb2, node_service_pb2):
        for service in file.DESCRIPTOR.services_by_name.values():
            yield from service.methods


def changes_nothing(method: MethodDescriptor) -> bool:
    """Whether the proto files say so."""
    return bool(method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS)


def name_of(method: MethodDescriptor) -> str:
    """`SERVICE/METHOD`, without the package."""
    return f"{method.containing_service.name}/{method.name}"


# The RPCs whose repeats on UNAVAILABLE the service configuration has.
READING = frozenset(name_of(method) for method in methods() if changes_nothing(method))


def may_repeat(name: str, request: object, error: Error) -> bool:
    """Whether an RPC that failed so can be sent again."""
    if error.retry_after is not None:
        return True
    safe = name in REPEATABLE
    if isinstance(request, v1.OriginateRequest):
        # By it FreeSWITCH itself refuses a second leg.
        safe = bool(request.request_id)
    elif isinstance(request, v1.BridgeRequest):
        # Legs that are bridged with each other stay so; an endpoint would be called twice.
        safe = bool(request.peer_session_id)
    return safe and connection_ended(error)


def connection_ended(error: Error) -> bool:
    """Whether the status is one of a connection or gateway that went away."""
    if error.code() == grpc.StatusCode.UNAVAILABLE:
        return True
    # Of a proxy or of the connection; the gateway's own have a reason.
    loose = (grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
    return error.code() in loose and not error.reason_name


class Pauses:
    """Those between attempts."""

    def __init__(self, timeout: float | None = None) -> None:
        """With the seconds that all attempts together have."""
        self._next = FIRST_PAUSE
        self.end = time.monotonic() + (PATIENCE if timeout is None else timeout)

    def left(self) -> float:
        """Seconds that are left for another attempt."""
        return max(0.0, self.end - time.monotonic())

    async def wait(self, error: Error | None) -> bool:
        """Pauses, longer each time and as long as the gateway asks for. False when there is no time for it."""
        pause = self._next * random.uniform(0.5, 1.5)
        self._next = min(2 * self._next, LONGEST_PAUSE)
        if error is not None and error.retry_after is not None:
            pause = max(pause, error.retry_after)
        if pause > self.left():
            return False
        await asyncio.sleep(pause)
        return True
