import assert from "node:assert/strict";
import { test } from "node:test";

import { create } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";

import { BadRequestSchema, ErrorInfoSchema } from "../src/gen/google/rpc/error_details_pb.js";
import { Code, SwitchgateError } from "../src/index.js";
import { ErrorReason, HangupCause } from "../src/v1.js";
import { failure, fails, rejected, retry, serve } from "./fake.js";

test("a call that fails tells its cause", async () => {
  const facts = {
    hangup_cause: "USER_BUSY",
    q850: "17",
    sip_code: "486",
    session_id: "s",
    job_id: "j",
    node_id: "n",
    freeswitch_reply: "-ERR USER_BUSY",
  };
  const fake = await serve({ originate: fails(failure(Code.Aborted, "CALL_FAILED", facts)) });
  const error = await rejected(fake.client.originate({ endpoints: ["user/1"] }, { timeoutMs: 5000 }));
  await fake.end();
  assert(error instanceof SwitchgateError && error instanceof ConnectError);
  assert.deepEqual([error.code, error.reason, error.hangupCause], [Code.Aborted, ErrorReason.CALL_FAILED, HangupCause.USER_BUSY]);
  assert.deepEqual([error.q850, error.sipCode, error.sessionId, error.jobId, error.nodeId], [17, 486, "s", "j", "n"]);
  assert.equal(error.freeswitchReply, "-ERR USER_BUSY");
  assert.equal(error.commandSent, false);
  assert.equal(error.message, "[aborted] told");
});

test("a stream that fails tells its reason", async () => {
  const fake = await serve({ subscribe: () => [failure(Code.PermissionDenied, "PERMISSION_DENIED")] });
  const stream = fake.client.events.subscribe({})[Symbol.asyncIterator]();
  const error = await rejected(stream.next());
  await fake.end();
  assert(error instanceof SwitchgateError);
  assert.equal(error.reason, ErrorReason.PERMISSION_DENIED);
});

test("reasons that are not known keep their name", () => {
  const error = SwitchgateError.of(failure(Code.Aborted, "toString", { q850: "many", command_sent: "true" }));
  assert.deepEqual([error.reason, error.reasonName], [ErrorReason.UNSPECIFIED, "toString"]);
  assert.deepEqual([error.q850, error.hangupCause, error.commandSent], [0, HangupCause.UNSPECIFIED, true]);
});

test("errors of others have no reason", () => {
  const value = create(ErrorInfoSchema, { reason: "CALL_FAILED", domain: "proxy.example" });
  assert.equal(SwitchgateError.of(failure(Code.Unavailable, "", {}, { desc: ErrorInfoSchema, value })).reasonName, "");
  assert.equal(SwitchgateError.of(new TypeError("own")).code, Code.Unknown);
  assert(!(new ConnectError("told") instanceof SwitchgateError));
});

test("what to do about it", () => {
  const violation = { field: "cause", description: "give one" };
  const bad = { desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations: [violation] }) };
  const error = SwitchgateError.of(failure(Code.InvalidArgument, "INVALID_ARGUMENT", {}, bad, retry(1500)));
  assert.deepEqual(error.violations, [violation]);
  assert.equal(error.retryAfterMs, 1500);
});
