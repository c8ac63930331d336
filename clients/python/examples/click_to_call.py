"""Click-to-call: rings the first party and, once it answers, the second one, and tells what happens to both.

    python click_to_call.py ADDRESS FIRST SECOND
    python click_to_call.py 127.0.0.1:50061 user/1000 sofia/gateway/carrier/4930123456

SWITCHGATE_TOKEN is the bearer token, SWITCHGATE_TLS=1 speaks TLS. Ctrl-C hangs up.
"""

import asyncio
import os
import sys

import switchgate
from switchgate import v1

ENDED = "CHANNEL_HANGUP_COMPLETE"


async def main(address: str, first: str, second: str) -> None:
    plaintext = os.environ.get("SWITCHGATE_TLS") != "1"
    async with switchgate.connect(address, token=os.environ.get("SWITCHGATE_TOKEN"), plaintext=plaintext) as client:
        placed = await client.originate(v1.OriginateRequest(endpoints=[first]), timeout=60)
        leg = placed.session.session_id
        print(leg, "has answered", flush=True)
        try:
            request = v1.BridgeRequest(session_id=leg, endpoint=second)
            bridged = await client.sessions.Bridge(request, timeout=60)
            print(leg, "talks with", bridged.peer.session_id, flush=True)
            await tell(client, placed.cursor, leg, bridged.peer.session_id)
        finally:
            # Whatever happens; that it is down already is no error.
            await client.hangup(leg, timeout=10)


async def tell(client: switchgate.Client, cursor: str, leg: str, peer: str) -> None:
    """Prints what happened to both legs behind the cursor, and what happens, until the first one has ended."""
    wanted = v1.SubscribeRequest(
        filter=v1.EventFilter(
            event_names=["CHANNEL_PROGRESS", "CHANNEL_ANSWER", "CHANNEL_BRIDGE", "CHANNEL_HOLD", "CHANNEL_UNHOLD", ENDED],
            session_ids=[leg, peer],
        ),
        header_selection=v1.HeaderSelection(names=v1.HeaderNames(names=["Hangup-Cause"])),
        start=v1.SubscribeStart(cursor=cursor),
    )
    async with client.subscribe(wanted) as subscription:
        async for update in subscription:
            if update.gap or update.moved:
                print("events may be missing here", flush=True)
            for event in update.events:
                print(event.session_id, event.name, event.headers.get("Hangup-Cause", ""), flush=True)
                if event.name == ENDED and event.session_id == leg:
                    return


try:
    asyncio.run(main(*sys.argv[1:]))
except switchgate.Error as error:
    sys.exit(f"{error}, {v1.HangupCause.Name(error.cause)}")
except KeyboardInterrupt:
    sys.exit(130)
