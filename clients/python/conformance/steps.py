"""The steps of a case."""

import asyncio
import secrets
from typing import Any

import grpc.aio

from conformance.call import Call
from conformance.match import fill, fit, look, text

# How many seconds a step may take that says nothing else, and the end of an RPC.
PATIENCE = 10.0
PATIENCE_FOR_END = 30.0


class Failed(Exception):
    """Why a case failed."""


async def run(address: str, tokens: dict[str, str], case: dict[str, Any]) -> None:
    """Runs a case; raises `Failed`."""
    runner = Runner(address, tokens)
    try:
        for number, step in enumerate(case["steps"], 1):
            try:
                await runner.step(step)
            except Failed as why:
                raise Failed(f"step {number}: {why}") from None
    finally:
        await runner.disconnect()


class Runner:
    """What a case has come to."""

    def __init__(self, address: str, tokens: dict[str, str]) -> None:
        self.address = address
        self.tokens = tokens
        self.saved = {"run": "r" + secrets.token_hex(4)}
        self.connect()

    def connect(self) -> None:
        """Opens a connection."""
        # Of its own, not one that channels to the same address share.
        options = [("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.aio.insecure_channel(self.address, options)
        self.calls: dict[str, Call] = {}

    async def disconnect(self) -> None:
        """Closes the connection with all that was started on it."""
        for call in self.calls.values():
            call.leave()
        await self.channel.close()

    async def step(self, step: dict[str, Any]) -> None:
        """Does a step; raises `Failed`."""
        if step.get("reconnect"):
            await self.disconnect()
            self.connect()
        elif "start" in step:
            self.calls[step["start"]] = self.begin(step, None)
        elif "rpc" in step:
            call = self.begin(step, PATIENCE)
            try:
                await self.end(call, step)
            finally:
                call.leave()
        elif "cancel" in step:
            self.calls[step["cancel"]].leave()
        elif "finish" in step:
            await self.end(self.calls[step["finish"]], step)
        else:
            await self.read(step)

    def begin(self, step: dict[str, Any], deadline: float | None) -> Call:
        """Begins the RPC of a step."""
        request = fill(step.get("request", {}), self.saved)
        token = self.tokens.get(step.get("as", "admin"))
        return Call(self.channel, step["rpc"], request, token, step.get("deadline", deadline))

    async def end(self, call: Call, step: dict[str, Any]) -> None:
        """Waits for the end of an RPC and looks at its outcome."""
        outcome = await call.outcome(bool(step.get("rest")), PATIENCE_FOR_END)
        if isinstance(outcome, str):
            raise Failed(outcome)
        expected = {"code": "OK"} | fill(step.get("expect", {}), self.saved)
        # First of all the code: it tells most.
        why = fit(expected["code"], outcome["code"], "code")
        if why:
            raise Failed(f"{why} ({text(outcome)})")
        why = fit(expected, outcome)
        if why:
            raise Failed(why)
        self.save(step, outcome)

    async def read(self, step: dict[str, Any]) -> None:
        """Takes items of a stream: the next one, which must fit, or all until one fits."""
        call = self.calls[step.get("next") or step["until"]]
        expected = fill(step.get("expect", {}), self.saved)
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    item = await call.items.get()
                    if item is None:
                        call.items.put_nowait(None)
                        raise Failed(f"the stream ended: {await call.outcome(True, PATIENCE)}")
                    if "checkpoint" in item and "checkpoint" not in expected:
                        continue
                    why = fit(expected, item)
                    if not why:
                        self.save(step, item)
                        return
                    if "next" in step:
                        raise Failed(f"{why} ({text(item)})")
        except TimeoutError:
            raise Failed(f"nothing came that fits {text(expected)}") from None

    def save(self, step: dict[str, Any], document: dict[str, Any]) -> None:
        """Keeps what a step wants to be kept."""
        for name, path in step.get("save", {}).items():
            found = look(document, path)
            if found is None:
                raise Failed(f"{path}: is not there")
            self.saved[name] = found
