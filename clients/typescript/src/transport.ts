/** What happens to each RPC of a client: its token, its repeats, its error. */
import { create } from "@bufbuild/protobuf";
import { createContextKey, type StreamResponse, type Transport } from "@connectrpc/connect";

import { SwitchgateError } from "./errors.js";
import { changesNothing, mayRepeat, Pauses } from "./retry.js";

/** A bearer token, or who gives it for each RPC. It should answer from memory while the token is good. */
export type Token = string | (() => string | Promise<string>);

/** Counts the attempts of whoever put an object there. */
export const attempts = createContextKey<{ count: number } | undefined>(undefined);

type Header = ConstructorParameters<typeof Headers>[0];

/** How RPCs are cared for. */
export interface Care {
  readonly token?: Token | undefined;
  readonly retries: boolean;
  readonly waitForReady: boolean;
}

/** A transport that sends tokens, sends again what is safe to send again, and throws `SwitchgateError`. */
export function careful(inner: Transport, care: Care): Transport {
  return {
    async unary(method, signal, timeoutMs, header, input, contextValues) {
      const request = create(method.input, input);
      const pauses = new Pauses(timeoutMs);
      for (let left = timeoutMs; ; left = timeoutMs && pauses.left()) {
        const counted = contextValues?.get(attempts);
        if (counted !== undefined) counted.count++;
        try {
          const headers = await authorized(header, care.token);
          return await inner.unary(method, signal, left, headers, request as typeof input, contextValues);
        } catch (thrown) {
          const error = SwitchgateError.of(thrown);
          const repeat = (care.retries && mayRepeat(method, request, error)) || (care.waitForReady && error.notSent);
          if (signal?.aborted || !repeat || !(await pauses.wait(error, signal))) throw error;
        }
      }
    },

    async stream(method, signal, timeoutMs, header, input, contextValues) {
      // All streams of Switchgate are those of answers to one request.
      const requests: (typeof input extends AsyncIterable<infer M> ? M : never)[] = [];
      for await (const request of input) requests.push(request);
      const pauses = new Pauses(timeoutMs);
      for (let left = timeoutMs; ; left = timeoutMs && pauses.left()) {
        try {
          const headers = await authorized(header, care.token);
          const response = await inner.stream(method, signal, left, headers, replay(requests), contextValues);
          const messages = response.message[Symbol.asyncIterator]();
          // Only a stream that has told nothing can be begun again.
          const first = await messages.next();
          return { ...response, message: told(first, messages) } as StreamResponse<typeof method.input, typeof method.output>;
        } catch (thrown) {
          const error = SwitchgateError.of(thrown);
          const reads = changesNothing(method) && mayRepeat(method, undefined, error);
          const repeat = (care.retries && reads) || (care.waitForReady && error.notSent);
          if (signal?.aborted || !repeat || !(await pauses.wait(error, signal))) throw error;
        }
      }
    },
  };
}

async function authorized(header: Header, token: Token | undefined): Promise<Headers> {
  const headers = new Headers(header);
  if (token !== undefined) headers.set("authorization", `Bearer ${typeof token === "string" ? token : await token()}`);
  return headers;
}

async function* replay<M>(messages: readonly M[]): AsyncGenerator<M> {
  yield* messages;
}

async function* told<M>(first: IteratorResult<M>, rest: AsyncIterator<M>): AsyncGenerator<M> {
  try {
    for (let at = first; at.done !== true; at = await rest.next()) yield at.value;
  } catch (thrown) {
    throw SwitchgateError.of(thrown);
  }
}

