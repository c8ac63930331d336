/** Which RPCs may be sent again, and when. */
import { setTimeout } from "node:timers/promises";

import { isMessage, type DescMethod } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";

import type { SwitchgateError } from "./errors.js";
import { BridgeRequestSchema, OriginateRequestSchema } from "./v1.js";

/** The pause before the first repeat, in milliseconds; it is doubled for each further one, up to the longest. */
const FIRST_PAUSE = 25;
const LONGEST_PAUSE = 2000;

/** Bounds the repeats of an RPC without a timeout: as long as the gateway gives one by default. */
const PATIENCE = 30_000;

/** RPCs that change something, of which a second time changes nothing more, at whichever gateway. */
export const REPEATABLE: ReadonlySet<string> = new Set([
  ...["Answer", "PreAnswer", "RingReady", "Hangup", "Park", "Hold", "Unhold", "Mute", "Unmute", "SetVariables"]
    .concat(["UnsetVariables", "StartRecording", "MaskRecording", "UnmaskRecording", "BypassMedia", "StartAmd", "StopAmd"])
    .map((name) => `SessionService/${name}`),
  "CallService/HangupCall",
  "CallService/AppendSession",
  "NodeService/DrainNode",
  "NodeService/UndrainNode",
  "NodeService/ReconcileNode",
]);

/** Whether the proto files say that an RPC changes nothing. */
export function changesNothing(method: DescMethod): boolean {
  return method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
}

/** Whether an RPC that failed so can be sent again. */
export function mayRepeat(method: DescMethod, request: unknown, error: SwitchgateError): boolean {
  if (error.retryAfterMs !== undefined) return true;
  let safe = changesNothing(method) || REPEATABLE.has(`${method.parent.name}/${method.name}`);
  if (isMessage(request, OriginateRequestSchema)) {
    // By it FreeSWITCH itself refuses a second leg.
    safe = request.requestId !== "";
  } else if (isMessage(request, BridgeRequestSchema)) {
    // Legs that are bridged with each other stay so; an endpoint would be called twice.
    safe = request.peer.case === "peerSessionId";
  }
  return safe && connectionEnded(error);
}

/** Whether the status is one of a connection or gateway that went away. */
export function connectionEnded(error: SwitchgateError): boolean {
  if (error.code === Code.Unavailable || error.notSent) return true;
  // Of a proxy or of the connection; the gateway's own have a reason.
  const loose = [Code.Canceled, Code.Internal, Code.Unknown, Code.Aborted];
  return loose.includes(error.code) && error.reasonName === "";
}

/** Those between attempts. */
export class Pauses {
  private pause = FIRST_PAUSE;
  private end: number;

  /** With the milliseconds that all attempts together have. */
  constructor(timeoutMs = PATIENCE) {
    this.end = performance.now() + timeoutMs;
  }

  /** Milliseconds that are left for another attempt. */
  left(): number {
    return Math.max(1, this.end - performance.now());
  }

  /** Pauses, longer each time and as long as the gateway asks for. False when there is no time for it, or no need. */
  async wait(error: SwitchgateError | undefined, signal: AbortSignal | undefined): Promise<boolean> {
    const pause = Math.max(this.pause * (0.5 + Math.random()), error?.retryAfterMs ?? 0);
    this.pause = Math.min(2 * this.pause, LONGEST_PAUSE);
    if (performance.now() + pause > this.end) return false;
    return setTimeout(pause, true, { signal }).catch(() => false);
  }
}
