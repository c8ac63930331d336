import assert from "node:assert/strict";
import { test } from "node:test";

import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";

import { Heard } from "../src/heard.js";
import { Code, SwitchgateError, type Update } from "../src/index.js";
import { ErrorReason, EventSchema, GapReason, type Event, type SubscribeRequest } from "../src/v1.js";
import { failure, rejected, serve, type Answers, type Told } from "./fake.js";

const LOST = failure(Code.Unavailable);
const MOVED = failure(Code.OutOfRange, "CURSOR_LOST", { why: "other_epoch" });
const WRONG = failure(Code.InvalidArgument, "INVALID_ARGUMENT");
const SNAPSHOT = { start: { position: { case: "snapshot", value: {} } } } as const;

function event(sequence: number, more: { name?: string; sessionId?: string; synthetic?: boolean; ago?: number } = {}): Event {
  const { ago = 0, ...fields } = more;
  const time = timestampFromMs(Date.now() - ago);
  return create(EventSchema, { coreUuid: "core", sequence: BigInt(sequence), name: "CUSTOM", time, ...fields });
}

const batch = (cursor: string, ...events: Event[]): Told => ({ cursor, message: { case: "events", value: { events } } });
const checkpoint = (cursor: string): Told => ({ cursor, message: { case: "checkpoint", value: {} } });
const part = (sessionId: string): Told => ({
  cursor: "c0",
  message: { case: "snapshot", value: { sessions: [{ sessionId }] } },
});
const end: Told = { cursor: "c0", message: { case: "snapshotEnd", value: {} } };

const cursorOf = ({ start }: SubscribeRequest): string =>
  start?.position.case === "cursor" ? start.position.value : "";

function words(update: Update): string[] {
  switch (update.case) {
    case "events":
      return update.value.map((each) => `${each.name} ${each.sequence}`);
    case "gap":
      return [`gap ${GapReason[update.value.reason]}`];
    case "moved":
      return [`moved from ${update.value.from}`];
    case "snapshot":
      return [`snapshot ${update.value.sessions[0]?.sessionId}`];
    default:
      return [update.case];
  }
}

/** What is told until so many updates have come. */
async function collect(
  subscribe: NonNullable<Answers["subscribe"]>,
  updates: number,
  request: Parameters<Awaited<ReturnType<typeof serve>>["client"]["subscribe"]>[0] = {},
): Promise<string[]> {
  const fake = await serve({ subscribe });
  const told: string[] = [];
  const subscription = fake.client.subscribe(request, { signal: AbortSignal.timeout(10_000) });
  for await (const update of subscription) {
    told.push(...words(update));
    assert.equal(subscription.cursor, update.cursor);
    if (--updates === 0) break;
  }
  await fake.end();
  return told;
}

test("a subscription goes on behind its last cursor", async () => {
  const starts: string[] = [];
  const told = await collect((at, request) => {
    starts.push(cursorOf(request));
    switch (at) {
      case 1:
        return [checkpoint("c0"), batch("c1", event(1)), failure(Code.Unavailable, "SHUTTING_DOWN", { cursor: "c1" })];
      case 2:
        // Only the cursor has moved, then the connection is lost.
        return [checkpoint("c5"), LOST];
      case 3:
        return [failure(Code.ResourceExhausted, "SLOW_CONSUMER", { cursor: "c5" })];
      default:
        return [
          { cursor: "c5", message: { case: "gap", value: { reason: GapReason.LINK_LOST } } },
          batch("c6", event(6)),
        ];
    }
  }, 3);
  assert.deepEqual(told, ["CUSTOM 1", "gap LINK_LOST", "CUSTOM 6"]);
  assert.deepEqual(starts, ["", "c1", "c5", "c5"]);
});

test("at another gateway no event is told twice and none is missing", async () => {
  const [first, second, third, before] = [event(1), event(2), event(3), event(0, { ago: 60_000 })];
  const hangup = event(7, { name: "CHANNEL_HANGUP", sessionId: "leg" });
  const concluded = event(0, { name: "CHANNEL_HANGUP", sessionId: "leg", synthetic: true });
  const other = event(0, { name: "CHANNEL_HANGUP", sessionId: "other", synthetic: true });
  const told = await collect((at, request) => {
    if (at === 1) return [batch("a2", first, second, hangup), LOST];
    if (at === 2) return [cursorOf(request) === "a2" ? MOVED : WRONG];
    if (request.start?.position.case !== "earliest") return [WRONG];
    return [batch("b2", before, first, second), batch("b5", concluded, other, third)];
  }, 3);
  assert.deepEqual(told, ["CUSTOM 1", "CUSTOM 2", "CHANNEL_HANGUP 7", "moved from a2", "CHANNEL_HANGUP 0", "CUSTOM 3"]);
});

test("a snapshot that was cut is begun anew", async () => {
  const subscribe = (at: number, request: SubscribeRequest) => {
    const snapshot = request.start?.position.case === "snapshot";
    if (at === 1 && snapshot) return [part("a"), LOST];
    if (at === 2 && snapshot) return [part("a"), end, batch("c1", event(1)), LOST];
    if (at === 3 && cursorOf(request) === "c1") return [MOVED];
    return at === 4 && snapshot ? [part("b"), end] : [WRONG];
  };
  assert.deepEqual(await collect(subscribe, 7, SNAPSHOT), [
    ...["snapshot a", "snapshot a", "snapshotEnd", "CUSTOM 1"],
    ...["moved from c1", "snapshot b", "snapshotEnd"],
  ]);
});

test("a subscription that is refused ends", async () => {
  const fake = await serve({ subscribe: () => [failure(Code.PermissionDenied, "PERMISSION_DENIED")] });
  const subscription = fake.client.subscribe();
  const error = await rejected(subscription.next());
  assert(error instanceof SwitchgateError && error.reason === ErrorReason.PERMISSION_DENIED);
  assert.deepEqual(await subscription.next(), { done: true, value: undefined });
  await fake.end();
  assert.equal(fake.counts["Subscribe"], 1);
});

test("why a stream ended is told", async () => {
  const fake = await serve({ subscribe: (at) => (at === 1 ? [batch("c1", event(1)), LOST] : [batch("c2", event(2))]) });
  const why: unknown[] = [];
  const subscription = fake.client.subscribe({}, { onReconnect: (error) => why.push(error?.code) });
  await subscription.next();
  await subscription.next();
  subscription.close();
  await fake.end();
  assert.deepEqual(why, [Code.Unavailable]);
});

for (const how of ["close", "signal"] as const) {
  test(`${how} ends whoever waits`, async () => {
    const fake = await serve({ subscribe: () => [batch("c1", event(1))] });
    const left = new AbortController();
    const subscription = fake.client.subscribe({}, { signal: left.signal });
    await subscription.next();
    const waiting = subscription.next();
    setImmediate(() => (how === "close" ? subscription.close() : left.abort()));
    assert.deepEqual(await waiting, { done: true, value: undefined });
    await fake.end();
    assert.equal(fake.counts["Subscribe"], 1);
  });
}

test("the oldest events are forgotten and not told again", () => {
  const heard = new Heard(100);
  heard.begin();
  const all = Array.from({ length: 105 }, (_, sequence) => event(sequence, { ago: -1000 * sequence }));
  assert.equal(heard.fresh(all, false).length, all.length);
  assert.deepEqual(heard.fresh(all, true), []);
});
