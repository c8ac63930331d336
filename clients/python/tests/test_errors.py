import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2

import switchgate
from conftest import Fake, Refusal, retry
from switchgate import v1

CODE = grpc.StatusCode


def error(refusal: Refusal) -> switchgate.Error:
    metadata = grpc.aio.Metadata(("grpc-status-details-bin", refusal.status.SerializeToString()))
    made = switchgate.Error.of(grpc.aio.AioRpcError(refusal.code, grpc.aio.Metadata(), metadata, "told"))
    assert made is not None
    return made


async def test_a_call_that_fails_tells_its_cause(fake: Fake, client: switchgate.Client) -> None:
    facts = {
        "hangup_cause": "USER_BUSY", "q850": "17", "sip_code": "486", "session_id": "s", "job_id": "j", "node_id": "n",
        "freeswitch_reply": "-ERR USER_BUSY",
    }

    def busy(*_: object) -> None:
        raise Refusal(CODE.ABORTED, "CALL_FAILED", facts)

    fake.on["Originate"] = busy
    with pytest.raises(switchgate.Error) as caught:
        await client.originate(v1.OriginateRequest(endpoints=["user/1"]), timeout=5)
    told = caught.value
    assert (told.code(), told.reason, told.cause) == (
        CODE.ABORTED, v1.ERROR_REASON_CALL_FAILED, v1.HANGUP_CAUSE_USER_BUSY,
    )
    assert (told.q850, told.sip_code, told.session_id, told.job_id, told.node_id) == (17, 486, "s", "j", "n")
    assert told.freeswitch_reply == "-ERR USER_BUSY" and not told.command_sent
    assert str(told) == "ABORTED (CALL_FAILED): told"
    assert isinstance(told, grpc.aio.AioRpcError)


def test_reasons_that_are_not_known_keep_their_name() -> None:
    told = error(Refusal(CODE.ABORTED, "OF_TOMORROW", {"q850": "many", "command_sent": "true"}))
    assert told.reason == v1.ERROR_REASON_UNSPECIFIED and told.reason_name == "OF_TOMORROW"
    assert told.q850 == 0 and told.cause == v1.HANGUP_CAUSE_UNSPECIFIED and told.command_sent


def test_errors_of_others_have_no_reason() -> None:
    foreign = error_details_pb2.ErrorInfo(reason="CALL_FAILED", domain="proxy.example")
    assert error(Refusal(CODE.UNAVAILABLE, "", None, foreign)).reason_name == ""
    garbled = grpc.aio.Metadata(("grpc-status-details-bin", b"\xff\xff"))
    made = switchgate.Error.of(grpc.aio.AioRpcError(CODE.INTERNAL, grpc.aio.Metadata(), garbled, "told"))
    assert made is not None and made.reason_name == ""
    assert switchgate.Error.of(ValueError()) is None


def test_what_to_do_about_it() -> None:
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="cause", description="give one")
    told = error(Refusal(CODE.INVALID_ARGUMENT, "INVALID_ARGUMENT", None, bad, retry(1.5)))
    assert told.violations == [switchgate.Violation("cause", "give one")]
    assert told.retry_after == 1.5
