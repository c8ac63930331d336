"""A gateway whose answers a test writes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import pytest_asyncio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

import switchgate
from switchgate import v1


class Refusal(Exception):
    """A status as the gateway makes it."""

    def __init__(self, code: grpc.StatusCode, reason: str = "", facts: dict[str, str] | None = None, *more: Message):
        super().__init__(code, reason)
        self.code = code
        details: list[AnyMessage] = []
        if reason:
            info = error_details_pb2.ErrorInfo(reason=reason, domain="switchgate", metadata=facts)
            more = (*more, info)
        for each in more:
            packed = AnyMessage()
            packed.Pack(each)
            details.append(packed)
        self.status = status_pb2.Status(code=code.value[0], message="told", details=details)


def retry(seconds: float) -> Message:
    """That a repeat is safe."""
    info: Any = error_details_pb2.RetryInfo()
    info.retry_delay.FromNanoseconds(int(seconds * 1e9))
    message: Message = info
    return message


class Fake(v1.SessionServiceServicer, v1.EventServiceServicer):
    """What a test does not write is UNIMPLEMENTED."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.authorized: list[str | None] = []
        self.on: dict[str, Callable[..., Any]] = {}
        self.address = ""

    async def _answer(self, name: str, request: Any, context: Any) -> Any:
        self.counts[name] += 1
        self.authorized.append(dict(context.invocation_metadata()).get("authorization"))
        try:
            answer = self.on[name](self.counts[name], request)
            return await answer if isinstance(answer, Awaitable) else answer
        except Refusal as refusal:
            await self.refuse(refusal, context)

    async def refuse(self, refusal: Refusal, context: Any) -> None:
        """Ends an RPC."""
        details = (("grpc-status-details-bin", refusal.status.SerializeToString()),)
        await context.abort(refusal.code, "told", details)

    async def Originate(self, request: Any, context: Any) -> Any:
        return await self._answer("Originate", request, context)

    async def Hangup(self, request: Any, context: Any) -> Any:
        return await self._answer("Hangup", request, context)

    async def GetSession(self, request: Any, context: Any) -> Any:
        return await self._answer("GetSession", request, context)

    async def SendDtmf(self, request: Any, context: Any) -> Any:
        return await self._answer("SendDtmf", request, context)

    async def Subscribe(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.counts["Subscribe"] += 1
        self.authorized.append(dict(context.invocation_metadata()).get("authorization"))
        for message in self.on["Subscribe"](self.counts["Subscribe"], request):
            if isinstance(message, Refusal):
                await self.refuse(message, context)
            yield message
        # Until the client leaves.
        await asyncio.Event().wait()


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[Fake]:
    """A gateway that listens."""
    served = Fake()  # type: ignore[abstract]  # The servicers answer what is not written.
    server = grpc.aio.server()
    v1.add_SessionServiceServicer_to_server(served, server)
    v1.add_EventServiceServicer_to_server(served, server)
    served.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield served
    await server.stop(0)


@pytest_asyncio.fixture
async def client(fake: Fake) -> AsyncIterator[switchgate.Client]:
    """A client of it."""
    async with switchgate.connect(fake.address, plaintext=True, token="secret") as connected:
        yield connected
