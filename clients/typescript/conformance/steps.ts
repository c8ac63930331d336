/** The steps of a case. */
import { randomBytes } from "node:crypto";

import type { Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";

import { Call } from "./call.js";
import { fill, fit, isObject, look, text, type Json } from "./match.js";

/** How many milliseconds a step may take that says nothing else, and the end of an RPC. */
const PATIENCE = 10_000;
const PATIENCE_FOR_END = 30_000;

/** A step, as clients/conformance/README.md tells. */
export interface Step {
  readonly rpc?: string;
  readonly start?: string;
  readonly next?: string;
  readonly until?: string;
  readonly cancel?: string;
  readonly finish?: string;
  readonly rest?: boolean;
  readonly reconnect?: boolean;
  readonly as?: string;
  readonly deadline?: number;
  readonly request?: Json;
  readonly expect?: Json;
  readonly save?: Record<string, string>;
}

/** Why a case failed. */
export class Failed extends Error {}

/** Runs the steps of a case; throws `Failed`. */
export async function run(address: string, tokens: Record<string, string>, steps: readonly Step[]): Promise<void> {
  const runner = new Runner(address, tokens);
  try {
    for (const [at, step] of steps.entries()) {
      try {
        await runner.step(step);
      } catch (thrown) {
        throw new Failed(`step ${at + 1}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      }
    }
  } finally {
    runner.disconnect();
  }
}

/** What a case has come to. */
class Runner {
  private readonly saved = new Map([["run", `r${randomBytes(4).toString("hex")}`]]);
  private readonly calls = new Map<string, Call>();
  private manager!: Http2SessionManager;
  private transport!: Transport;

  constructor(
    private readonly address: string,
    private readonly tokens: Record<string, string>,
  ) {
    this.connect();
  }

  connect(): void {
    const baseUrl = `http://${this.address}`;
    this.manager = new Http2SessionManager(baseUrl);
    this.transport = createGrpcTransport({ baseUrl, sessionManager: this.manager });
  }

  /** Closes the connection with all that was started on it. */
  disconnect(): void {
    for (const call of this.calls.values()) call.leave();
    this.calls.clear();
    this.manager.abort();
  }

  async step(step: Step): Promise<void> {
    if (step.reconnect === true) {
      this.disconnect();
      this.connect();
    } else if (step.start !== undefined) {
      this.calls.set(step.start, this.begin(step, undefined));
    } else if (step.rpc !== undefined) {
      await this.end(this.begin(step, PATIENCE / 1000), step);
    } else if (step.cancel !== undefined) {
      this.started(step.cancel).leave();
    } else if (step.finish !== undefined) {
      await this.end(this.started(step.finish), step);
    } else {
      await this.read(step);
    }
  }

  private begin(step: Step, deadline: number | undefined): Call {
    const request = fill(step.request ?? {}, this.saved);
    const token = this.tokens[step.as ?? "admin"];
    return new Call(this.transport, step.rpc ?? "", request, token, step.deadline ?? deadline);
  }

  private started(name: string): Call {
    const call = this.calls.get(name);
    if (call === undefined) throw new Failed(`nothing was started as ${text(name)}`);
    return call;
  }

  /** Waits for the end of an RPC and looks at its outcome. */
  private async end(call: Call, step: Step): Promise<void> {
    const outcome = await call.outcome(step.rest === true, PATIENCE_FOR_END);
    if (typeof outcome === "string") throw new Failed(outcome);
    const wanted = fill(step.expect ?? {}, this.saved);
    const expected: Record<string, Json> = { code: "OK", ...(isObject(wanted) ? wanted : {}) };
    // First of all the code: it tells most.
    const code = fit(expected["code"], outcome.code, "code");
    if (code !== "") throw new Failed(`${code} (${text(outcome)})`);
    const why = fit(expected, outcome);
    if (why !== "") throw new Failed(why);
    this.save(step, outcome);
  }

  /** Takes items of a stream: the next one, which must fit, or all until one fits. */
  private async read(step: Step): Promise<void> {
    const call = this.started(step.next ?? step.until ?? "");
    const expected = fill(step.expect ?? {}, this.saved);
    const checkpoint = isObject(expected) && "checkpoint" in expected;
    const end = performance.now() + PATIENCE;
    for (;;) {
      const taken = await call.items.take(Math.max(0, end - performance.now()));
      if (taken === undefined) throw new Failed(`nothing came that fits ${text(expected)}`);
      const item = taken.value;
      if (item === undefined) {
        call.items.put(undefined);
        throw new Failed(`the stream ended: ${text(await call.outcome(true, PATIENCE))}`);
      }
      if ("checkpoint" in item && !checkpoint) continue;
      const why = fit(expected, item);
      if (why === "") return this.save(step, item);
      if (step.next !== undefined) throw new Failed(`${why} (${text(item)})`);
    }
  }

  private save(step: Step, document: Json): void {
    for (const [name, path] of Object.entries(step.save ?? {})) {
      const found = look(document, path);
      if (found === undefined) throw new Failed(`${path}: is not there`);
      this.saved.set(name, found);
    }
  }
}
