/**
 * Click-to-call: rings the first party and, once it answers, the second one, and tells what happens to both.
 *
 *     npx tsc && node dist/examples/click-to-call.js ADDRESS FIRST SECOND
 *     node dist/examples/click-to-call.js 127.0.0.1:50061 user/1000 sofia/gateway/carrier/4930123456
 *
 * SWITCHGATE_TOKEN is the bearer token, SWITCHGATE_TLS=1 speaks TLS. Ctrl-C hangs up.
 */
import { connect, SwitchgateError, type Client } from "../src/index.js"; // "@switchgate/client" in a program of your own
import { HangupCause } from "../src/v1.js"; // "@switchgate/client/v1"

const ENDED = "CHANNEL_HANGUP_COMPLETE";

async function main([address = "", first = "", second = ""]: string[], signal: AbortSignal): Promise<void> {
  const token = process.env["SWITCHGATE_TOKEN"];
  const client = connect(address, { plaintext: process.env["SWITCHGATE_TLS"] !== "1", ...(token && { token }) });
  try {
    const { session, cursor } = await client.originate({ endpoints: [first] }, { timeoutMs: 60_000, signal });
    const leg = session?.sessionId ?? "";
    console.log(leg, "has answered");
    try {
      const request = { sessionId: leg, peer: { case: "endpoint", value: second } } as const;
      const { peer } = await client.sessions.bridge(request, { timeoutMs: 60_000, signal });
      console.log(leg, "talks with", peer?.sessionId);
      await tell(client, cursor, [leg, peer?.sessionId ?? ""], signal);
    } finally {
      // Whatever happens; that it is down already is no error.
      await client.hangup(leg, undefined, { timeoutMs: 10_000 });
    }
  } finally {
    client.close();
  }
}

/** Prints what happened to the legs behind the cursor, and what happens, until the first one has ended. */
async function tell(client: Client, cursor: string, legs: string[], signal: AbortSignal): Promise<void> {
  const eventNames = ["CHANNEL_PROGRESS", "CHANNEL_ANSWER", "CHANNEL_BRIDGE", "CHANNEL_HOLD", "CHANNEL_UNHOLD", ENDED];
  const subscription = client.subscribe(
    {
      filter: { eventNames, sessionIds: legs },
      headerSelection: { selection: { case: "names", value: { names: ["Hangup-Cause"] } } },
      start: { position: { case: "cursor", value: cursor } },
    },
    { signal },
  );
  for await (const update of subscription) {
    if (update.case === "gap" || update.case === "moved") console.log("events may be missing here");
    if (update.case !== "events") continue;
    for (const event of update.value) {
      console.log(event.sessionId, event.name, event.headers["Hangup-Cause"] ?? "");
      if (event.name === ENDED && event.sessionId === legs[0]) return;
    }
  }
}

const stopped = new AbortController();
process.once("SIGINT", () => stopped.abort());
try {
  await main(process.argv.slice(2), stopped.signal);
} catch (thrown) {
  const error = SwitchgateError.of(thrown);
  console.error(`${error.reasonName}: ${error.message}, ${HangupCause[error.hangupCause]}`);
  process.exitCode = 1;
}
