import json

import grpc
import pytest

import switchgate
from conftest import Fake, Refusal, retry
from switchgate import v1
from switchgate.client import service_config
from switchgate.retry import READING, REPEATABLE, Pauses, changes_nothing, may_repeat, methods, name_of
from test_errors import error

CODE = grpc.StatusCode
LOST = Refusal(CODE.UNAVAILABLE)
UNKNOWN = Refusal(CODE.UNAVAILABLE, "OUTCOME_UNKNOWN")
REFUSED = Refusal(CODE.UNAVAILABLE, "NODE_UNAVAILABLE", None, retry(1))
HANGUP, ORIGINATE, BRIDGE = "SessionService/Hangup", "SessionService/Originate", "SessionService/Bridge"


@pytest.mark.parametrize(("name", "request_", "refusal", "may"), [
    (HANGUP, None, LOST, True),
    (HANGUP, None, UNKNOWN, True),
    (HANGUP, None, Refusal(CODE.CANCELLED), True),
    (HANGUP, None, Refusal(CODE.FAILED_PRECONDITION, "SESSION_ENDED"), False),
    (HANGUP, None, Refusal(CODE.CANCELLED, "CANCELLED"), False),
    (ORIGINATE, v1.OriginateRequest(request_id="a"), UNKNOWN, True),
    (ORIGINATE, v1.OriginateRequest(request_id="a"), Refusal(CODE.ABORTED, "CALL_FAILED"), False),
    (ORIGINATE, v1.OriginateRequest(), LOST, False),
    (ORIGINATE, v1.OriginateRequest(), REFUSED, True),
    ("SessionService/SendDtmf", None, LOST, False),
    ("SessionService/SendDtmf", None, REFUSED, True),
    ("JobService/RunJob", v1.RunJobRequest(request_id="a"), LOST, False),
    (BRIDGE, v1.BridgeRequest(peer_session_id="b"), LOST, True),
    (BRIDGE, v1.BridgeRequest(endpoint="user/1"), LOST, False),
])
def test_what_may_be_sent_again(name: str, request_: object, refusal: Refusal, may: bool) -> None:
    assert may_repeat(name, request_, error(refusal)) is may


def test_every_name_of_a_repeatable_rpc_is_one() -> None:
    assert REPEATABLE <= {name_of(method) for method in methods() if not changes_nothing(method)}
    assert len(READING) >= 15 and HANGUP not in READING


async def test_a_hangup_is_repeated_until_it_is_done(fake: Fake, client: switchgate.Client) -> None:
    answers = [LOST, Refusal(CODE.UNAVAILABLE, "SHUTTING_DOWN", None, retry(0.001)),
               Refusal(CODE.NOT_FOUND, "SESSION_NOT_FOUND")]

    def hangup(at: int, _: object) -> None:
        raise answers[min(at, len(answers)) - 1]

    fake.on["Hangup"] = hangup
    assert await client.hangup("a", timeout=5) is None
    assert fake.counts["Hangup"] == 3
    assert set(fake.authorized) == {"Bearer secret"}
    # One that is unknown at once is not down: there is none.
    with pytest.raises(switchgate.Error) as caught:
        await client.hangup("a", timeout=5)
    assert caught.value.reason == v1.ERROR_REASON_SESSION_NOT_FOUND


async def test_a_leg_that_has_ended_is_hung_up(fake: Fake, client: switchgate.Client) -> None:
    def ended(*_: object) -> None:
        raise Refusal(CODE.FAILED_PRECONDITION, "SESSION_ENDED")

    fake.on["Hangup"] = ended
    fake.on["GetSession"] = lambda _, request: v1.GetSessionResponse(session=v1.Session(session_id=request.session_id))
    session = await client.hangup("a", timeout=5)
    assert session is not None and session.session_id == "a" and fake.counts["Hangup"] == 1


async def test_digits_are_not_sent_twice(fake: Fake, client: switchgate.Client) -> None:
    def lost(*_: object) -> None:
        raise LOST

    fake.on["SendDtmf"] = lost
    with pytest.raises(switchgate.Error) as caught:
        await client.sessions.SendDtmf(v1.SendDtmfRequest(), timeout=5)
    assert caught.value.code() == CODE.UNAVAILABLE and fake.counts["SendDtmf"] == 1


async def test_a_call_is_asked_for_again_by_its_name(fake: Fake, client: switchgate.Client) -> None:
    names = []

    def originate(at: int, request: v1.OriginateRequest) -> v1.OriginateResponse:
        names.append(request.request_id)
        if at == 1:
            raise LOST
        return v1.OriginateResponse(session=v1.Session(session_id="a"))

    fake.on["Originate"] = originate
    request = v1.OriginateRequest(endpoints=["user/1"])
    assert (await client.originate(request, timeout=5)).session.session_id == "a"
    assert len(names) == 2 and names[0] == names[1] != ""
    assert request.request_id == ""


async def test_reads_are_repeated_by_the_service_configuration(fake: Fake, client: switchgate.Client) -> None:
    def lost_twice(at: int, _: object) -> v1.GetSessionResponse:
        if at < 3:
            raise LOST
        return v1.GetSessionResponse()

    fake.on["GetSession"] = lost_twice
    await client.sessions.GetSession(v1.GetSessionRequest(), timeout=5)
    assert fake.counts["GetSession"] == 3
    fake.counts.clear()
    async with switchgate.connect(fake.address, plaintext=True, retries=False) as once:
        with pytest.raises(switchgate.Error):
            await once.sessions.GetSession(v1.GetSessionRequest(), timeout=5)
    assert fake.counts["GetSession"] == 1


async def test_there_is_no_time_for_a_long_pause() -> None:
    refusal = error(Refusal(CODE.UNAVAILABLE, "NO_NODE_AVAILABLE", None, retry(30)))
    assert not await Pauses(1).wait(refusal)


def test_the_service_configuration_says_what_was_asked_for() -> None:
    config = json.loads(service_config(wait_for_ready=False, retries=False, health_check=False))
    assert config == {
        "loadBalancingConfig": [{"round_robin": {}}], "methodConfig": [{"name": [{}], "waitForReady": False}],
    }
