from pathlib import Path
from typing import Any

import grpc
import pytest

import switchgate
from conftest import Fake, Refusal
from switchgate import v1


@pytest.mark.parametrize("kind", ["text", "function", "async", "file"])
async def test_tokens_come_from_anywhere(kind: str, fake: Fake, tmp_path: Path) -> None:
    fake.on["GetSession"] = lambda *_: v1.GetSessionResponse()
    fake.on["Subscribe"] = lambda *_: [Refusal(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")]
    path = tmp_path / "token"
    path.write_text("one\n")

    async def later() -> str:
        return "one"

    sources: dict[str, Any] = {"text": "one", "function": lambda: "one", "async": later, "file": None}
    async with switchgate.connect(
        fake.address, plaintext=True, token=sources[kind], token_file=path if kind == "file" else None,
    ) as client:
        await client.sessions.GetSession(v1.GetSessionRequest(), timeout=5)
        with pytest.raises(switchgate.Error):
            await anext(client.subscribe())
    assert fake.authorized == ["Bearer one", "Bearer one"]


def test_two_tokens_are_one_too_many() -> None:
    with pytest.raises(ValueError, match="token_file"):
        switchgate.connect("localhost:1", token="a", token_file="b")


async def test_a_gateway_that_is_not_there_is_waited_for_or_not() -> None:
    # Nothing listens on port 1.
    async with switchgate.connect("127.0.0.1:1", plaintext=True) as patient:
        with pytest.raises(switchgate.Error) as waited:
            await patient.sessions.SendDtmf(v1.SendDtmfRequest(), timeout=0.3)
    assert waited.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    async with switchgate.connect("127.0.0.1:1", plaintext=True, wait_for_ready=False) as hasty:
        with pytest.raises(switchgate.Error) as refused:
            await hasty.sessions.SendDtmf(v1.SendDtmfRequest(), timeout=5)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert refused.value.reason == v1.ERROR_REASON_UNSPECIFIED
