/** One RPC, from its request in protobuf JSON to its outcome as a document. */
import {
  fromJson,
  toJson,
  type DescMethod,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type JsonValue,
} from "@bufbuild/protobuf";
import { Code, type Transport } from "@connectrpc/connect";

import { SwitchgateError } from "../src/errors.js";
import { CallService, EventService, JobService, NodeService, SessionService } from "../src/v1.js";
import { isObject, text, type Json } from "./match.js";
import { Queue } from "./queue.js";

const METHODS = new Map(
  [SessionService, CallService, JobService, EventService, NodeService].flatMap((service) =>
    service.methods.map((method): [string, DescMethod] => [`${service.name}/${method.name}`, method]),
  ),
);

/** What becomes of an RPC. */
export type Outcome = Record<string, Json> & { readonly code: string };

/** An RPC that was begun. A stream is read in the background. */
export class Call {
  /** Items of a stream; undefined is its end. */
  readonly items = new Queue<Record<string, Json> | undefined>();
  private readonly abort = new AbortController();
  private readonly done: Promise<Outcome>;

  constructor(
    transport: Transport,
    rpc: string,
    request: Json,
    token: string | undefined,
    deadline: number | undefined,
  ) {
    const method = METHODS.get(rpc);
    if (method === undefined) throw new Error(`${rpc}: is no RPC`);
    const input = fromJson(method.input, request as JsonValue);
    const header = token === undefined ? undefined : { authorization: `Bearer ${token}` };
    const { signal } = this.abort;
    const timeout = deadline === undefined ? undefined : deadline * 1000;
    if (method.methodKind === "unary") {
      this.done = transport
        .unary(method as DescMethodUnary, signal, timeout, header, input)
        .then(({ message }) => ({ code: "OK", response: toJson(method.output, message) }), failed);
    } else {
      const read = async () => {
        const streaming = method as DescMethodServerStreaming;
        const stream = await transport.stream(streaming, signal, timeout, header, only(input));
        for await (const message of stream.message) {
          for (const item of items(toJson(method.output, message))) this.items.put(item);
        }
        return { code: "OK" };
      };
      this.done = read()
        .catch(failed)
        .finally(() => this.items.put(undefined));
    }
  }

  /** Cancels it. */
  leave(): void {
    this.abort.abort();
  }

  /**
   * Waits for the end, or says why there is none. What a stream told and nobody read is an error, unless the rest may be
   * anything or the client left.
   */
  async outcome(rest: boolean, patience: number): Promise<Outcome | string> {
    const ended = await within(this.done, patience);
    if (ended === undefined) return "it did not end";
    const more = this.items.left().find((item) => item !== undefined && !("checkpoint" in item));
    return more === undefined || rest || this.abort.signal.aborted ? ended : `the stream told more: ${text(more)}`;
  }
}

/** What a promise gives within so many milliseconds; undefined when it does not. */
export async function within<T>(promise: Promise<T>, patience: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(resolve, patience, undefined)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The events of a message one by one, or the message itself. */
function items(message: JsonValue): Record<string, Json>[] {
  if (!isObject(message)) return [];
  const batch = message["events"];
  if (!isObject(batch)) return [message];
  const events = Array.isArray(batch["events"]) ? batch["events"] : [];
  return events.map((event) => ({ cursor: message["cursor"], event }));
}

function failed(thrown: unknown): Outcome {
  const error = SwitchgateError.of(thrown);
  // FailedPrecondition is FAILED_PRECONDITION, and Canceled has two L at gRPC.
  const name = Code[error.code]?.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase() ?? "UNKNOWN";
  const code = error.code === Code.Canceled ? "CANCELLED" : name;
  const facts = error.reasonName === "" ? {} : { reason: error.reasonName, metadata: error.facts };
  return { code, message: error.rawMessage, ...facts };
}

async function* only<T>(message: T): AsyncGenerator<T> {
  yield message;
}
