"""The status of an RPC with what Switchgate tells beside its code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2

from switchgate import v1

# The domain of Switchgate's ErrorInfo; others, as of a proxy, are not looked at.
DOMAIN = "switchgate"


@dataclass(frozen=True)
class Violation:
    """Says what is wrong with a field of the request."""

    field: str
    description: str


class Error(grpc.aio.AioRpcError):
    """An RPC that failed. Unary RPCs of a `Client` raise it; of what a stream raises `Error.of` makes one.

    It is an `AioRpcError` too: `code()`, `details()` and the metadata are there.
    """

    reason: v1.ErrorReason.ValueType
    """Unspecified when the error is not the gateway's, but the connection's or a proxy's, and when the gateway is newer
    and its reason is not known here: see `reason_name`."""
    reason_name: str
    """The reason as it was sent, such as `CALL_FAILED`; empty for none."""
    metadata: dict[str, str]
    """All facts by their names."""
    retry_after: float | None
    """In how many seconds a repeat is safe; None when nothing says that it is."""
    violations: list[Violation]
    """Which fields of the request are wrong."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        super().__init__(
            error.code(), error.initial_metadata(), error.trailing_metadata(), error.details(), error.debug_error_string()
        )
        self.reason = v1.ERROR_REASON_UNSPECIFIED
        self.reason_name = ""
        self.metadata = {}
        self.retry_after = None
        self.violations = []
        for detail in _details(error):
            info, retry, bad = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo(), error_details_pb2.BadRequest()
            if detail.Unpack(info) and info.domain == DOMAIN:
                self.reason_name = info.reason
                self.metadata = dict(info.metadata)
                name = "ERROR_REASON_" + info.reason
                if name in v1.ErrorReason.keys():
                    self.reason = v1.ErrorReason.Value(name)
            elif detail.Unpack(retry):
                self.retry_after = retry.retry_delay.ToNanoseconds() / 1e9
            elif detail.Unpack(bad):
                self.violations += [Violation(each.field, each.description) for each in bad.field_violations]

    @classmethod
    def of(cls, error: BaseException) -> Error | None:
        """The status in an error of an RPC; None for an error that is none of gRPC."""
        if isinstance(error, Error):
            return error
        return cls(error) if isinstance(error, grpc.aio.AioRpcError) else None

    @property
    def cause(self) -> v1.HangupCause.ValueType:
        """The hangup cause of a call that failed (CALL_FAILED, ENDPOINT_UNUSABLE) or has ended (SESSION_ENDED)."""
        name = "HANGUP_CAUSE_" + self.metadata.get("hangup_cause", "")
        return v1.HangupCause.Value(name) if name in v1.HangupCause.keys() else v1.HANGUP_CAUSE_UNSPECIFIED

    @property
    def q850(self) -> int:
        """The Q.850 code of the cause, 0 where there is none."""
        return self._number("q850")

    @property
    def sip_code(self) -> int:
        """The SIP status with which the call ended, 0 where there is none."""
        return self._number("sip_code")

    @property
    def session_id(self) -> str:
        """The session that the error is about, empty for none."""
        return self.metadata.get("session_id", "")

    @property
    def job_id(self) -> str:
        """The job that the error is about, empty for none."""
        return self.metadata.get("job_id", "")

    @property
    def node_id(self) -> str:
        """The node that the error is about, empty for none."""
        return self.metadata.get("node_id", "")

    @property
    def freeswitch_reply(self) -> str:
        """What FreeSWITCH said, to the letter; empty when it was not asked."""
        return self.metadata.get("freeswitch_reply", "")

    @property
    def command_sent(self) -> bool:
        """Whether FreeSWITCH may still act though the RPC has failed."""
        return self.metadata.get("command_sent") == "true" or self.reason == v1.ERROR_REASON_OUTCOME_UNKNOWN

    def __str__(self) -> str:
        name = self.reason_name and f" ({self.reason_name})"
        return f"{self.code().name}{name}: {self.details()}"

    def _number(self, name: str) -> int:
        text = self.metadata.get(name, "")
        return int(text) if text.isascii() and text.isdigit() else 0


def _details(error: grpc.aio.AioRpcError) -> list[Any]:
    told = status_pb2.Status()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            # What a proxy garbled is as good as nothing.
            try:
                told.ParseFromString(value)
            except Exception:  # noqa: BLE001  protobuf's DecodeError is of another class in each implementation.
                return []
    return list(told.details)
