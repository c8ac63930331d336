/** A stream of events that goes on by itself. */
import { clone, create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, type Client as ServiceClient } from "@connectrpc/connect";

import { SwitchgateError } from "./errors.js";
import { Heard } from "./heard.js";
import { connectionEnded, Pauses } from "./retry.js";
import {
  ErrorReason,
  SubscribeRequestSchema,
  SubscribeStartSchema,
  type Event,
  type EventService,
  type Gap,
  type Node,
  type Snapshot,
  type SnapshotEnd,
  type SubscribeRequest,
  type SubscribeResponse,
  type SubscribeStart,
} from "./v1.js";

/** How many milliseconds a stream has to last for the next pause to be a short one again. */
const STEADY = 5000;


/**
 * Says that no gateway holds the events behind the last cursor: its gateway is gone, or was away for longer than its
 * journal reaches. A subscription that began with a snapshot begins with another one. Any other goes on with the oldest
 * event of the new journal, without those that it has told. What is missing then is what happened while no gateway was in
 * service, or before the oldest event of the journal: nothing, when gateways are replaced one by one.
 */
export interface Moved {
  /** The last cursor, of the journal that is no longer there. */
  readonly from: string;
  /** The reason, CURSOR_LOST. */
  readonly error: SwitchgateError;
}

/** What a subscription tells, by its `case`. */
export type Update = {
  /**
   * Behind everything told so far, this update included. To keep it is enough to go on after a restart of the program,
   * with the same gateway.
   */
  readonly cursor: string;
} & (
  | /** New events, in order. */ { readonly case: "events"; readonly value: readonly Event[] }
  | /** The gateway misses events, see its reason. */ { readonly case: "gap"; readonly value: Gap }
  | /** The stream goes on in another place than behind the last cursor. */ {
      readonly case: "moved";
      readonly value: Moved;
    }
  | /** A node whose state has changed. */ { readonly case: "nodeState"; readonly value: Node }
  | /** A part of what there is, of a subscription that begins so. */ {
      readonly case: "snapshot";
      readonly value: Snapshot;
    }
  | /** The snapshot is whole. After a `moved` another one comes. */ {
      readonly case: "snapshotEnd";
      readonly value: SnapshotEnd;
    }
);

/** What else a subscription can be told. */
export interface SubscribeOptions {
  /** Ends the subscription. */
  readonly signal?: AbortSignal;
  /** Is told why a stream ended, each time before another one is tried. */
  readonly onReconnect?: (error: SwitchgateError | undefined) => void;
}

/**
 * Updates, one by one, until the loop is left, `close` is called or the signal aborts, or until the gateway refuses it for
 * good: the request is malformed, or the caller may not, which throws a `SwitchgateError`. It is for one reader.
 */
export class Subscription implements AsyncIterableIterator<Update> {
  private readonly request: SubscribeRequest;
  private readonly ended = new AbortController();
  private readonly heard = new Heard();
  /** Whether the subscription wants snapshots. */
  private readonly snapshots: boolean;
  /** Whether a snapshot is under way: it cannot be resumed. */
  private within = false;
  /** Whether events may come that were told before. */
  private replayed = false;
  private messages: AsyncIterator<SubscribeResponse> | undefined;
  private stream: AbortController | undefined;
  private began = 0;
  private pauses = new Pauses(Infinity);
  private pending: Update[] = [];
  private last: string;

  constructor(
    private readonly client: Pick<ServiceClient<typeof EventService>, "subscribe">,
    request: MessageInitShape<typeof SubscribeRequestSchema>,
    private readonly options: SubscribeOptions = {},
  ) {
    this.request = clone(SubscribeRequestSchema, create(SubscribeRequestSchema, request));
    const position = this.request.start?.position;
    this.last = position?.case === "cursor" ? position.value : "";
    this.snapshots = position?.case === "snapshot";
    if (options.signal?.aborted) this.close();
    else options.signal?.addEventListener("abort", () => this.close(), { once: true, signal: this.ended.signal });
  }

  /** Behind everything that was told. Empty before the first update. */
  get cursor(): string {
    return this.last;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Ends the subscription; whoever waits for an update gets none. */
  close(): void {
    this.ended.abort();
    this.leave();
  }

  async next(): Promise<IteratorResult<Update, undefined>> {
    while (!this.ended.signal.aborted) {
      const pending = this.pending.shift();
      if (pending !== undefined) return { done: false, value: pending };
      let message: SubscribeResponse | undefined;
      try {
        message = await this.receive();
      } catch (thrown) {
        if (this.ended.signal.aborted) break;
        await this.recover(SwitchgateError.of(thrown));
        continue;
      }
      if (this.ended.signal.aborted) break;
      if (message === undefined) {
        // Ended in good order, by a proxy; the gateway does not.
        await this.recover(undefined);
        continue;
      }
      const update = this.take(message);
      if (update !== undefined) return { done: false, value: update };
    }
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<Update, undefined>> {
    this.close();
    return { done: true, value: undefined };
  }

  /** Waits for a message of the stream, which is begun first where there is none. */
  private async receive(): Promise<SubscribeResponse | undefined> {
    if (this.messages === undefined) {
      // The cursor of a part lies behind all of the snapshot.
      if (this.within) this.request.start = snapshot();
      this.stream = new AbortController();
      const stream = this.client.subscribe(this.request, { signal: this.stream.signal });
      this.messages = stream[Symbol.asyncIterator]();
      this.began = performance.now();
    }
    const { done, value } = await this.messages.next();
    return done === true ? undefined : value;
  }

  /** Makes an update of a message; undefined for one that tells nothing new. */
  private take({ cursor, message }: SubscribeResponse): Update | undefined {
    this.heard.begin();
    this.within = message.case === "snapshot" || (this.within && message.case !== "snapshotEnd");
    this.last = cursor;
    if (!this.within) {
      this.request.start = create(SubscribeStartSchema, { position: { case: "cursor", value: cursor } });
    }
    switch (message.case) {
      case "events": {
        const value = this.heard.fresh(message.value.events, this.replayed);
        return value.length > 0 ? { cursor, case: "events", value } : undefined;
      }
      case "checkpoint":
      case undefined:
        return undefined;
      default:
        return { cursor, ...message };
    }
  }

  /** Makes ready for another stream behind one that failed, and pauses; throws when there is no use in one. */
  private async recover(error: SwitchgateError | undefined): Promise<void> {
    const steadily = this.messages !== undefined && performance.now() - this.began > STEADY;
    this.leave();
    if (error?.reason === ErrorReason.CURSOR_LOST) {
      this.move(error);
    } else if (error !== undefined && !passing(error)) {
      this.close();
      throw error;
    }
    this.options.onReconnect?.(error);
    if (steadily) this.pauses = new Pauses(Infinity);
    await this.pauses.wait(error, this.ended.signal);
  }

  /** Goes on where the journal begins, or with what there is. */
  private move(error: SwitchgateError): void {
    if (this.snapshots) {
      this.request.start = snapshot();
    } else {
      this.request.start = create(SubscribeStartSchema, { position: { case: "earliest", value: {} } });
      this.replayed = true;
    }
    this.pending.push({ cursor: this.last, case: "moved", value: { from: this.last, error } });
  }

  private leave(): void {
    this.stream?.abort();
    this.stream = this.messages = undefined;
  }
}

function snapshot(): SubscribeStart {
  return create(SubscribeStartSchema, { position: { case: "snapshot", value: {} } });
}

/** Whether another stream may fare better. */
function passing(error: SwitchgateError): boolean {
  return (
    connectionEnded(error) ||
    error.retryAfterMs !== undefined ||
    error.reason === ErrorReason.SLOW_CONSUMER ||
    error.code === Code.DeadlineExceeded
  );
}
