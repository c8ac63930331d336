"""The client and how it connects."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import grpc
import grpc.aio

from switchgate import v1
from switchgate.errors import Error
from switchgate.intercept import Streaming, TokenSource, Unary, attempts
from switchgate.retry import changes_nothing, methods
from switchgate.subscribe import Subscription

# How long a connection may be silent before the gateway is asked whether it is there, and how long the answer may take.
KEEPALIVE_MS = 30_000
KEEPALIVE_TIMEOUT_MS = 10_000
# The largest message that is taken: an event can hold all variables of a channel.
MAX_MESSAGE = 64 << 20


class Client:
    """Holds the stubs of all services over one connection; one is enough for a program.

    Give each RPC a `timeout` in seconds: without one it waits as long as no gateway is there. A task that is cancelled
    cancels the RPC that it waits for, and the gateway then hangs up a call that is being placed.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Over a channel of the caller's own, for which nothing is done that `connect` does for one."""
        self.channel = channel
        self.sessions = v1.SessionServiceStub(channel)
        """Works on single legs."""
        self.calls = v1.CallServiceStub(channel)
        """Works on legs that together are a phone call."""
        self.jobs = v1.JobServiceStub(channel)
        """Runs commands in the background."""
        self.events = v1.EventServiceStub(channel)
        """Streams and publishes events; see `subscribe` for a stream that resumes."""
        self.nodes = v1.NodeServiceStub(channel)
        """Shows the FreeSWITCH nodes."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection and all RPCs on it."""
        await self.channel.close()

    async def originate(self, request: v1.OriginateRequest, timeout: float | None = None) -> v1.OriginateResponse:
        """Places a call and returns what is told of the leg that was answered. An `Error` says by its `cause` why there is none.

        The gateway hangs up when the timeout passes or the task is cancelled before the answer. A request_id is given
        to a request that has none, so that the call survives the end of a connection or gateway: it is asked for again,
        and not placed twice.
        """
        if not request.request_id:
            own = v1.OriginateRequest()
            own.CopyFrom(request)
            own.request_id = uuid.uuid4().hex
            request = own
        return await self.sessions.Originate(request, timeout=timeout)

    async def hangup(
        self, session_id: str, cause: v1.HangupCause.ValueType = v1.HANGUP_CAUSE_UNSPECIFIED,
        timeout: float | None = None,
    ) -> v1.Session | None:
        """Hangs a leg up and returns it as it was then.

        A leg that has ended already, also by an earlier attempt of this very call whose answer was lost, is no error;
        None when no gateway knows it any more.
        """
        counted: list[str] = []
        mark = attempts.set(counted)
        try:
            request = v1.HangupRequest(session_id=session_id, cause=cause)
            return (await self.sessions.Hangup(request, timeout=timeout)).session
        except Error as error:
            if error.reason == v1.ERROR_REASON_SESSION_NOT_FOUND and len(counted) > 1:
                return None
            if error.reason != v1.ERROR_REASON_SESSION_ENDED:
                raise
        finally:
            attempts.reset(mark)
        try:
            return (await self.sessions.GetSession(v1.GetSessionRequest(session_id=session_id), timeout=timeout)).session
        except Error as error:
            if error.reason == v1.ERROR_REASON_SESSION_NOT_FOUND:
                return None
            raise

    def subscribe(
        self, request: v1.SubscribeRequest | None = None, on_reconnect: Callable[[BaseException], None] | None = None,
    ) -> Subscription:
        """Begins a subscription that goes on by itself when its connection or gateway ends.

        The request says what is wanted and where to begin; it is not changed. `on_reconnect` is told why a stream ended,
        each time before another one is tried.
        """
        return Subscription(self.events, request, on_reconnect)


def connect(
    target: str,
    *,
    token: str | TokenSource | None = None,
    token_file: str | Path | None = None,
    plaintext: bool = False,
    root_certificates: bytes | None = None,
    private_key: bytes | None = None,
    certificate_chain: bytes | None = None,
    wait_for_ready: bool = True,
    retries: bool = True,
    health_check: bool = True,
    options: Sequence[tuple[str, Any]] = (),
) -> Client:
    """Makes a client. It does not wait for a connection; the first RPC does. Call it where the event loop runs.

    `target` is `host:port`, or any of gRPC's (`dns:///`, `unix:`, `ipv4:a:port,b:port`). RPCs go round all addresses that
    a name has, as of a headless service of Kubernetes, and pass by gateways whose health is not SERVING.

    - `token`: the bearer token that is sent with each RPC, or a function, also async, that gives it each time and should
      answer from memory while it is good. `token_file` names a file that holds it and is read each time.
    - `plaintext`: without TLS. Whoever listens on the way reads tokens and calls: for loopback, and for meshes that
      encrypt themselves.
    - `root_certificates`: own authorities, in PEM, else gRPC's default ones count; `private_key` and
      `certificate_chain`: a client certificate.
    - `wait_for_ready=False`: RPCs fail with UNAVAILABLE when no gateway is there.
    - `health_check=False`: asks gateways that have no node in service too.
    - `options`: channel options of grpcio, which win over those of this package.

    What is sent again, with growing pauses within the RPC's timeout (30 s where it has none), unless `retries=False`:

    - RPCs that change nothing, on UNAVAILABLE; a stream of these as long as it has told nothing.
    - Any unary RPC that a gateway refused with RetryInfo, which says that nothing was done.
    - On UNAVAILABLE, also where it may have been done: RPCs of which a second time changes nothing (Hangup, Answer, Hold
      and the like), and Originate with a request_id, by which FreeSWITCH itself refuses a second leg.
    """
    if token is not None and token_file is not None:
        raise ValueError("token and token_file: give one of them")
    own: list[tuple[str, Any]] = [
        ("grpc.service_config", service_config(wait_for_ready, retries, health_check)),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_receive_message_length", MAX_MESSAGE),
        ("grpc.primary_user_agent", "switchgate-python"),
    ]
    given = {name for name, _ in options}
    all_options = [each for each in own if each[0] not in given] + list(options)
    source = _source(token, token_file)
    interceptors: list[grpc.aio.ClientInterceptor] = [Unary(source, retries), Streaming(source)]
    if plaintext:
        return Client(grpc.aio.insecure_channel(target, options=all_options, interceptors=interceptors))
    credentials = grpc.ssl_channel_credentials(root_certificates, private_key, certificate_chain)
    return Client(grpc.aio.secure_channel(target, credentials, options=all_options, interceptors=interceptors))


def service_config(wait_for_ready: bool = True, retries: bool = True, health_check: bool = True) -> str:
    """Says in gRPC's own terms how RPCs are spread and which may be sent again, as JSON."""
    config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if health_check:
        config["healthCheckConfig"] = {"serviceName": ""}
    config["methodConfig"] = [{"name": [{}], "waitForReady": wait_for_ready}]
    if retries:
        config["methodConfig"].append({
            "name": [
                {"service": method.containing_service.full_name, "method": method.name}
                for method in methods() if changes_nothing(method)
            ],
            "waitForReady": wait_for_ready,
            "retryPolicy": {
                "maxAttempts": 5, "initialBackoff": "0.1s", "maxBackoff": "2s", "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        })
    return json.dumps(config)


def _source(token: str | TokenSource | None, file: str | Path | None) -> TokenSource | None:
    if file is not None:
        path = Path(file)
        return lambda: asyncio.to_thread(lambda: path.read_text().strip())
    if isinstance(token, str):
        return lambda: token
    return token
