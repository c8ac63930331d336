"""Python client of Switchgate, the gRPC control plane for FreeSWITCH, for asyncio.

`connect` gives a `Client`, on which the stubs of all services hang:

    async with switchgate.connect("gateway.example.net:50061", token=TOKEN) as client:
        placed = await client.originate(v1.OriginateRequest(endpoints=["user/1000"]))

The package adds to the generated code (`switchgate.v1`) what every client needs: a connection that is kept alive,
retries of what is safe to send again and of nothing else, errors with their reason and hangup cause (`Error`), and a
subscription that goes on where it was when a connection or a gateway ends (`Client.subscribe`).
"""

from switchgate import v1
from switchgate.client import Client, connect
from switchgate.errors import Error, Violation
from switchgate.subscribe import Moved, Subscription, Update

__all__ = ["Client", "Error", "Moved", "Subscription", "Update", "Violation", "connect", "v1"]
