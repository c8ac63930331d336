/** A gateway whose answers a test writes. */
import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";

import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";

import { connect, type Client, type ConnectOptions } from "../src/index.js";
import { ErrorInfoSchema, RetryInfoSchema } from "../src/gen/google/rpc/error_details_pb.js";
import { EventService, SessionService, type SubscribeRequest, type SubscribeResponseSchema } from "../src/v1.js";

export type Told = MessageInitShape<typeof SubscribeResponseSchema>;

interface Detail {
  readonly desc: DescMessage;
  readonly value: MessageInitShape<DescMessage>;
}

/** What a test does not write is UNIMPLEMENTED. `at` counts from 1. */
export interface Answers {
  readonly originate?: (at: number, requestId: string) => { session: { sessionId: string } };
  readonly hangup?: (at: number) => object;
  readonly getSession?: (at: number, sessionId: string) => { session?: { sessionId: string } };
  readonly sendDtmf?: () => object;
  readonly subscribe?: (at: number, request: SubscribeRequest) => readonly (Told | ConnectError)[];
}

/** A gateway that listens, with a client of it. */
export interface Fake {
  readonly client: Client;
  readonly counts: Record<string, number>;
  readonly authorized: (string | null)[];
  readonly address: string;
  end(): Promise<void>;
}

export async function serve(answers: Answers, options: ConnectOptions = { token: "secret" }): Promise<Fake> {
  const counts: Record<string, number> = {};
  const authorized: (string | null)[] = [];
  const count = (context: HandlerContext): number => {
    authorized.push(context.requestHeader.get("authorization"));
    const name = context.method.name;
    counts[name] = (counts[name] ?? 0) + 1;
    return counts[name];
  };
  const written = <T>(answer: T | undefined): T => {
    if (answer === undefined) throw new ConnectError("not written", Code.Unimplemented);
    return answer;
  };
  const routes = (router: ConnectRouter): void => {
    router.service(SessionService, {
      originate: (request, context) => written(answers.originate)(count(context), request.requestId),
      hangup: (_, context) => written(answers.hangup)(count(context)),
      getSession: (request, context) => written(answers.getSession)(count(context), request.sessionId),
      sendDtmf: (_, context) => (count(context), written(answers.sendDtmf)()),
    });
    router.service(EventService, {
      async *subscribe(request, context) {
        for (const message of written(answers.subscribe)(count(context), request)) {
          if (message instanceof Error) throw message;
          yield message as Exclude<Told, ConnectError>;
        }
        // Until the client leaves.
        if (!context.signal.aborted) await once(context.signal, "abort");
      },
    });
  };
  const server = createServer(connectNodeAdapter({ routes }));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = connect(address, { plaintext: true, ...options });
  const end = async (): Promise<void> => {
    client.close();
    const closed = once(server, "close");
    server.close();
    await closed;
  };
  return { client, counts, authorized, address, end };
}

/** A status as the gateway makes it. */
export function failure(
  code: Code,
  reason = "",
  metadata: Record<string, string> = {},
  ...more: readonly Detail[]
): ConnectError {
  const info = { desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason, domain: "switchgate", metadata }) };
  return new ConnectError("told", code, undefined, reason === "" ? [...more] : [...more, info]);
}

/** That a repeat is safe after so many milliseconds. */
export function retry(after: number): Detail {
  const retryDelay = { seconds: BigInt(Math.floor(after / 1000)), nanos: (after % 1000) * 1e6 };
  return { desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay }) };
}

/** An answer that fails. */
export function fails(error: ConnectError): () => never {
  return () => {
    throw error;
  };
}

/** The status with which a promise was rejected. */
export async function rejected(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => {
      throw new Error(`it went well: ${JSON.stringify(value)}`);
    },
    (error: unknown) => error,
  );
}
