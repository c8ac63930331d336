"""One RPC, from its request in protobuf JSON to its outcome as a document."""

import asyncio
from typing import Any

import grpc
import grpc.aio
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass

from switchgate import Error
from switchgate.retry import methods, name_of

METHODS = {name_of(method): method for method in methods()}


class Call:
    """An RPC that was begun. A stream is read in the background."""

    def __init__(
        self, channel: grpc.aio.Channel, rpc: str, request: dict[str, Any], token: str | None, deadline: float | None,
    ) -> None:
        method = METHODS[rpc]
        message = ParseDict(request, GetMessageClass(method.input_type)())
        self.left = False
        # Items of a stream; None is its end.
        self.items: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        kind: Any = channel.unary_stream if method.server_streaming else channel.unary_unary
        begin = kind(
            "/switchgate.v1." + rpc,
            request_serializer=lambda each: each.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        metadata = [("authorization", f"Bearer {token}")] if token else []
        self._call: Any = begin(message, timeout=deadline, metadata=metadata)
        read = self._stream if method.server_streaming else self._unary
        self._done = asyncio.create_task(read())

    def leave(self) -> None:
        """Cancels it."""
        self.left = True
        self._call.cancel()

    async def outcome(self, rest: bool, patience: float) -> dict[str, Any] | str:
        """Waits for the end, or says why there is none. What a stream told and nobody read is an error, unless the rest
        may be anything or the client left."""
        try:
            async with asyncio.timeout(patience):
                ended = await asyncio.shield(self._done)
        except TimeoutError:
            return "it did not end"
        while not self.items.empty():
            item = self.items.get_nowait()
            if item is not None and "checkpoint" not in item and not rest and not self.left:
                return f"the stream told more: {item}"
        return ended

    async def _unary(self) -> dict[str, Any]:
        try:
            response = await self._call
        except (grpc.aio.AioRpcError, asyncio.CancelledError) as error:
            return failed(error)
        return {"code": "OK", "response": MessageToDict(response)}

    async def _stream(self) -> dict[str, Any]:
        try:
            async for message in self._call:
                for item in items(MessageToDict(message)):
                    self.items.put_nowait(item)
        except (grpc.aio.AioRpcError, asyncio.CancelledError) as error:
            return failed(error)
        finally:
            self.items.put_nowait(None)
        return {"code": "OK"}


def items(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a message one by one, or the message itself."""
    batch = message.get("events")
    if not isinstance(batch, dict):
        return [message]
    return [{"cursor": message["cursor"], "event": event} for event in batch.get("events", [])]


def failed(error: BaseException) -> dict[str, Any]:
    """The outcome of an RPC that failed, or that was cancelled here."""
    told = Error.of(error)
    if told is None:
        return {"code": "CANCELLED", "message": "cancelled here"}
    outcome: dict[str, Any] = {"code": told.code().name, "message": told.details()}
    if told.reason_name:
        outcome |= {"reason": told.reason_name, "metadata": told.metadata}
    return outcome
