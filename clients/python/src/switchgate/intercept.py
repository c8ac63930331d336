"""What happens to each RPC of a client: its token, its repeats, its error."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import grpc.aio

from switchgate.errors import Error
from switchgate.retry import READING, Pauses, connection_ended, may_repeat

TokenSource = Callable[[], str | Awaitable[str]]

# Counts the attempts of the RPCs of whoever put a list there.
attempts: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("attempts", default=None)


class Unary(grpc.aio.UnaryUnaryClientInterceptor):
    """Of unary RPCs."""

    def __init__(self, token: TokenSource | None, retries: bool) -> None:
        self._token = token
        self._retries = retries

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Sends an RPC again where that is safe."""
        name = _text(client_call_details.method).removeprefix("/switchgate.v1.")
        pauses = Pauses(client_call_details.timeout)
        details = client_call_details
        while True:
            counted = attempts.get()
            if counted is not None:
                counted.append(name)
            try:
                call = await continuation(await _authorized(details, self._token), request)
                await call
                return call
            except grpc.aio.AioRpcError as failed:
                error = Error(failed)
            # The service configuration has repeated these.
            repeated = name in READING and connection_ended(error) and error.retry_after is None
            if not self._retries or repeated or not may_repeat(name, request, error) or not await pauses.wait(error):
                raise error
            if client_call_details.timeout is not None:
                details = client_call_details._replace(timeout=pauses.left())


class Streaming(grpc.aio.UnaryStreamClientInterceptor):
    """Of RPCs that stream."""

    def __init__(self, token: TokenSource | None) -> None:
        self._token = token

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Sends the token."""
        return await continuation(await _authorized(client_call_details, self._token), request)


async def _authorized(details: Any, source: TokenSource | None) -> Any:
    if source is None:
        return details
    token = source()
    if inspect.isawaitable(token):
        token = await token
    metadata = grpc.aio.Metadata(*(details.metadata or ()))
    metadata["authorization"] = f"Bearer {token}"
    return details._replace(metadata=metadata)


def _text(method: str | bytes) -> str:
    return method.decode() if isinstance(method, bytes) else method
