/** The status of an RPC with what Switchgate tells beside its code. */
import { ConnectError } from "@connectrpc/connect";

import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { ErrorReason, HangupCause } from "./v1.js";

/** The domain of Switchgate's ErrorInfo; others, as of a proxy, are not looked at. */
const DOMAIN = "switchgate";

/** What Node.js says when nothing could be sent, because there was no connection. */
const NO_CONNECTION = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "ENOENT"]);

/** Says what is wrong with a field of the request. */
export interface Violation {
  readonly field: string;
  readonly description: string;
}

/** An RPC that failed. It is a `ConnectError` too. */
export class SwitchgateError extends ConnectError {
  /**
   * `UNSPECIFIED` when the error is not the gateway's, but the connection's or a proxy's, and when the gateway is newer
   * and its reason is not known here: see `reasonName`.
   */
  readonly reason: ErrorReason = ErrorReason.UNSPECIFIED;
  /** The reason as it was sent, such as `CALL_FAILED`; empty for none. */
  readonly reasonName: string = "";
  /** All facts by their names. */
  readonly facts: Readonly<Record<string, string>> = {};
  /** In how many milliseconds a repeat is safe; undefined when nothing says that it is. */
  readonly retryAfterMs: number | undefined;
  /** Which fields of the request are wrong. */
  readonly violations: readonly Violation[] = [];

  private constructor(from: ConnectError) {
    super(from.rawMessage, from.code, from.metadata, undefined, from.cause);
    this.details = from.details;
    if (from.stack !== undefined) this.stack = from.stack;
    const info = from.findDetails(ErrorInfoSchema).find((each) => each.domain === DOMAIN);
    if (info !== undefined) {
      this.reasonName = info.reason;
      this.facts = info.metadata;
      this.reason = named<ErrorReason>(ErrorReason, info.reason) ?? ErrorReason.UNSPECIFIED;
    }
    for (const retry of from.findDetails(RetryInfoSchema)) {
      this.retryAfterMs = Number(retry.retryDelay?.seconds ?? 0) * 1000 + (retry.retryDelay?.nanos ?? 0) / 1e6;
    }
    this.violations = from
      .findDetails(BadRequestSchema)
      .flatMap((bad) => bad.fieldViolations.map(({ field, description }) => ({ field, description })));
  }

  /** The status in what an RPC threw. */
  static of(thrown: unknown): SwitchgateError {
    return thrown instanceof SwitchgateError ? thrown : new SwitchgateError(ConnectError.from(thrown));
  }

  // That of ConnectError takes any of its kind.
  static override [Symbol.hasInstance](value: unknown): value is SwitchgateError {
    return value instanceof Error && Object.prototype.isPrototypeOf.call(SwitchgateError.prototype, value);
  }

  /** The hangup cause of a call that failed (CALL_FAILED, ENDPOINT_UNUSABLE) or has ended (SESSION_ENDED). */
  get hangupCause(): HangupCause {
    return named<HangupCause>(HangupCause, this.facts["hangup_cause"] ?? "") ?? HangupCause.UNSPECIFIED;
  }

  /** The Q.850 code of the cause, 0 where there is none. */
  get q850(): number {
    return this.number("q850");
  }

  /** The SIP status with which the call ended, 0 where there is none. */
  get sipCode(): number {
    return this.number("sip_code");
  }

  /** The session that the error is about, empty for none. */
  get sessionId(): string {
    return this.facts["session_id"] ?? "";
  }

  /** The job that the error is about, empty for none. */
  get jobId(): string {
    return this.facts["job_id"] ?? "";
  }

  /** The node that the error is about, empty for none. */
  get nodeId(): string {
    return this.facts["node_id"] ?? "";
  }

  /** What FreeSWITCH said, to the letter; empty when it was not asked. */
  get freeswitchReply(): string {
    return this.facts["freeswitch_reply"] ?? "";
  }

  /** Whether FreeSWITCH may still act though the RPC has failed. */
  get commandSent(): boolean {
    return this.facts["command_sent"] === "true" || this.reason === ErrorReason.OUTCOME_UNKNOWN;
  }

  /** Whether there was no connection to send the RPC on. */
  get notSent(): boolean {
    const seen = new Set<unknown>();
    for (let at: unknown = this.cause; at instanceof Error && !seen.has(at); at = at.cause) {
      seen.add(at);
      if ("code" in at && typeof at.code === "string" && NO_CONNECTION.has(at.code)) return true;
    }
    return false;
  }

  private number(name: string): number {
    const text = this.facts[name] ?? "";
    return /^\d+$/.test(text) ? Number(text) : 0;
  }
}

/** The number of a name in an enum. */
function named<E extends number>(of: Record<string, string | number>, name: string): E | undefined {
  const number = Object.hasOwn(of, name) ? of[name] : undefined;
  return typeof number === "number" ? (number as E) : undefined;
}
