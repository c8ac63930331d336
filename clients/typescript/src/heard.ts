/** Which events were told, so that none is told twice. */
import type { Event } from "./v1.js";

/** How many events are known again: minutes of a busy node. */
const REMEMBERED = 1 << 15;

/** Allows for events that were fired in another order than their time stamps say. In milliseconds, as all times here. */
const SLACK = 1000;

/** Events that a session has once: one that the gateway concludes tells nothing new when FreeSWITCH told it. */
const ONCE_IN_LIFE = new Set([
  "CHANNEL_CREATE",
  "CHANNEL_PROGRESS",
  "CHANNEL_PROGRESS_MEDIA",
  "CHANNEL_ANSWER",
  "CHANNEL_HANGUP",
  "CHANNEL_HANGUP_COMPLETE",
  "CHANNEL_DESTROY",
]);

/** Knows events that were told. FreeSWITCH numbers them, so that they are the same at every gateway. */
export class Heard {
  /** With the time of each; the oldest goes first once there are as many as are remembered. */
  private readonly known = new Map<string, number>();
  /** When the first message came, by this machine's clock. */
  private start: number | undefined;

  constructor(private readonly remembered = REMEMBERED) {}

  /** Notes when the subscription began. */
  begin(): void {
    this.start ??= Date.now();
  }

  /** The events that were not told before. Only a journal that is read from its beginning tells events again. */
  fresh(events: readonly Event[], replayed: boolean): Event[] {
    const fresh: Event[] = [];
    const floor = this.floor();
    for (const event of events) {
      const number = event.synthetic ? undefined : `${event.sequence} ${event.coreUuid}`;
      const once = event.sessionId !== "" && ONCE_IN_LIFE.has(event.name) ? `${event.name} ${event.sessionId}` : undefined;
      const at = Number(event.time?.seconds ?? 0) * 1000 + (event.time?.nanos ?? 0) / 1e6;
      if (replayed) {
        // What a session has once counts for events of the gateway alone: FreeSWITCH's own have a number.
        const telling = event.synthetic ? once : number;
        if ((telling !== undefined && this.known.has(telling)) || at <= floor) continue;
      }
      for (const name of [number, once]) if (name !== undefined) this.remember(name, at);
      fresh.push(event);
    }
    return fresh;
  }

  /** The time up to which everything was told, or was before the subscription. */
  private floor(): number {
    const oldest = this.known.values().next();
    if (oldest.done === true) return (this.start ?? 0) - SLACK;
    // No slack once all is taken: what is told again for it would push out what is known, and so have all told again.
    return this.known.size < this.remembered ? oldest.value - SLACK : oldest.value;
  }

  private remember(name: string, at: number): void {
    if (this.known.has(name)) return;
    if (this.known.size >= this.remembered) {
      const oldest = this.known.keys().next();
      if (oldest.done !== true) this.known.delete(oldest.value);
    }
    this.known.set(name, at);
  }
}
