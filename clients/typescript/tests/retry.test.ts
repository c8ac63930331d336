import assert from "node:assert/strict";
import { test } from "node:test";

import { create, type DescMethod } from "@bufbuild/protobuf";

import { Code, connect, SwitchgateError } from "../src/index.js";
import { changesNothing, mayRepeat, Pauses, REPEATABLE } from "../src/retry.js";
import {
  BridgeRequestSchema,
  CallService,
  ErrorReason,
  EventService,
  JobService,
  NodeService,
  OriginateRequestSchema,
  RunJobRequestSchema,
  SessionService,
} from "../src/v1.js";
import { failure, fails, rejected, retry, serve } from "./fake.js";

const LOST = failure(Code.Unavailable);
const UNKNOWN = failure(Code.Unavailable, "OUTCOME_UNKNOWN");
const REFUSED = failure(Code.Unavailable, "NODE_UNAVAILABLE", {}, retry(1000));
const { hangup, originate, sendDtmf, bridge, getSession } = SessionService.method;

test("what may be sent again", () => {
  const named = create(OriginateRequestSchema, { requestId: "a" });
  const peer = create(BridgeRequestSchema, { peer: { case: "peerSessionId", value: "b" } });
  const endpoint = create(BridgeRequestSchema, { peer: { case: "endpoint", value: "user/1" } });
  const cases: [DescMethod, unknown, Error, boolean][] = [
    [hangup, undefined, LOST, true],
    [hangup, undefined, UNKNOWN, true],
    [hangup, undefined, failure(Code.Aborted), true],
    [hangup, undefined, failure(Code.FailedPrecondition, "SESSION_ENDED"), false],
    [hangup, undefined, failure(Code.Canceled, "CANCELLED"), false],
    [getSession, undefined, LOST, true],
    [getSession, undefined, failure(Code.NotFound, "SESSION_NOT_FOUND"), false],
    [originate, named, UNKNOWN, true],
    [originate, named, failure(Code.Aborted, "CALL_FAILED"), false],
    [originate, create(OriginateRequestSchema), LOST, false],
    [originate, create(OriginateRequestSchema), REFUSED, true],
    [sendDtmf, undefined, LOST, false],
    [sendDtmf, undefined, REFUSED, true],
    [JobService.method.runJob, create(RunJobRequestSchema, { requestId: "a" }), LOST, false],
    [bridge, peer, LOST, true],
    [bridge, endpoint, LOST, false],
  ];
  for (const [method, request, error, may] of cases) {
    assert.equal(mayRepeat(method, request, SwitchgateError.of(error)), may, `${method.name} ${error.message}`);
  }
});

test("every name of a repeatable RPC is one", () => {
  const services = [SessionService, CallService, JobService, EventService, NodeService];
  const all: DescMethod[] = services.flatMap((service): DescMethod[] => [...service.methods]);
  const acting = new Set(all.filter((method) => !changesNothing(method)).map((method) => `${method.parent.name}/${method.name}`));
  for (const name of REPEATABLE) assert(acting.has(name), name);
  assert(all.filter(changesNothing).length >= 15);
});

test("a hangup is repeated until it is done", async () => {
  const answers = [LOST, failure(Code.Unavailable, "SHUTTING_DOWN", {}, retry(1)), failure(Code.NotFound, "SESSION_NOT_FOUND")];
  const fake = await serve({
    hangup: (at) => {
      throw answers[Math.min(at, answers.length) - 1];
    },
  });
  assert.equal(await fake.client.hangup("a"), undefined);
  assert.equal(fake.counts["Hangup"], 3);
  assert.deepEqual(new Set(fake.authorized), new Set(["Bearer secret"]));
  // One that is unknown at once is not down: there is none.
  const error = await rejected(fake.client.hangup("a"));
  await fake.end();
  assert(error instanceof SwitchgateError && error.reason === ErrorReason.SESSION_NOT_FOUND);
});

test("a leg that has ended is hung up", async () => {
  const fake = await serve({
    hangup: fails(failure(Code.FailedPrecondition, "SESSION_ENDED")),
    getSession: (_, sessionId) => ({ session: { sessionId } }),
  });
  assert.equal((await fake.client.hangup("a"))?.sessionId, "a");
  await fake.end();
  assert.equal(fake.counts["Hangup"], 1);
});

test("digits are not sent twice", async () => {
  const fake = await serve({ sendDtmf: fails(LOST) });
  const error = await rejected(fake.client.sessions.sendDtmf({}));
  await fake.end();
  assert(error instanceof SwitchgateError && error.code === Code.Unavailable);
  assert.equal(fake.counts["SendDtmf"], 1);
});

test("a call is asked for again by its name", async () => {
  const names: string[] = [];
  const fake = await serve({
    originate: (at, requestId) => {
      names.push(requestId);
      if (at === 1) throw LOST;
      return { session: { sessionId: "a" } };
    },
  });
  assert.equal((await fake.client.originate({ endpoints: ["user/1"] })).session?.sessionId, "a");
  await fake.end();
  assert(names.length === 2 && names[0] !== "" && names[0] === names[1], names.join());
});

test("reads are repeated, unless nothing is to be", async () => {
  const lostTwice = (at: number) => {
    if (at < 3) throw LOST;
    return {};
  };
  const fake = await serve({ getSession: lostTwice });
  await fake.client.sessions.getSession({});
  await fake.end();
  assert.equal(fake.counts["GetSession"], 3);
  const once = await serve({ getSession: lostTwice }, { retries: false });
  await rejected(once.client.sessions.getSession({}));
  await once.end();
  assert.equal(once.counts["GetSession"], 1);
});

test("a gateway that is not there is waited for or not", async () => {
  // Nothing listens on port 1.
  const patient = await rejected(connect("127.0.0.1:1", { plaintext: true }).sessions.sendDtmf({}, { timeoutMs: 300 }));
  assert(patient instanceof SwitchgateError && patient.notSent);
  const hasty = connect("127.0.0.1:1", { plaintext: true, waitForReady: false });
  const error = await rejected(hasty.sessions.sendDtmf({}, { timeoutMs: 5000 }));
  assert(error instanceof SwitchgateError && error.code === Code.Unavailable && error.notSent);
});

test("who leaves does not wait for another attempt", async () => {
  const left = new AbortController();
  const fake = await serve({
    hangup: () => {
      setImmediate(() => left.abort());
      throw failure(Code.Unavailable, "NO_NODE_AVAILABLE", {}, retry(20_000));
    },
  });
  await rejected(fake.client.hangup("a", undefined, { signal: left.signal }));
  await fake.end();
  assert.equal(fake.counts["Hangup"], 1);
});

test("there is no time for a long pause", async () => {
  const error = SwitchgateError.of(failure(Code.Unavailable, "NO_NODE_AVAILABLE", {}, retry(30_000)));
  assert.equal(await new Pauses(1000).wait(error, undefined), false);
});
