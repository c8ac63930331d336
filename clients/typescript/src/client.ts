/** The client and how it connects. */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { SecureClientSessionOptions } from "node:http2";

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  createClient,
  createContextValues,
  type CallOptions,
  type Client as ServiceClient,
  type Interceptor,
  type Transport,
} from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";

import { SwitchgateError } from "./errors.js";
import { Subscription, type SubscribeOptions } from "./subscribe.js";
import { attempts, careful, type Token } from "./transport.js";
import {
  CallService,
  ErrorReason,
  EventService,
  HangupCause,
  JobService,
  NodeService,
  OriginateRequestSchema,
  SessionService,
  type OriginateResponse,
  type Session,
  type SubscribeRequestSchema,
} from "./v1.js";

/** How long a connection may be silent before the gateway is asked whether it is there, and how long it may take. */
const KEEPALIVE_MS = 30_000;
const KEEPALIVE_TIMEOUT_MS = 10_000;

/** The largest message that is taken: an event can hold all variables of a channel. */
const MAX_MESSAGE = 64 << 20;

/** How to connect. */
export interface ConnectOptions {
  /** The bearer token of each RPC, or a function that gives it. */
  readonly token?: Token;
  /** A file that holds the token; it is read for each RPC. Kubernetes renews it there. */
  readonly tokenFile?: string;
  /**
   * Speaks without TLS. Whoever listens on the way reads tokens and calls: for loopback, and for meshes that encrypt
   * themselves.
   */
  readonly plaintext?: boolean;
  /** Own authorities (`ca`), a client certificate (`cert`, `key`), and what else Node.js knows about TLS. */
  readonly tls?: SecureClientSessionOptions;
  /** Whether RPCs wait for a gateway when none can be reached, until their timeout (30 s where they have none). */
  readonly waitForReady?: boolean;
  /** Whether what is safe to send again is sent again, see `connect`. */
  readonly retries?: boolean;
  /** Interceptors of Connect; each sees every attempt. */
  readonly interceptors?: Interceptor[];
}

/** Holds the clients of all services over one connection; one is enough for a program. */
export class Client {
  /** Works on single legs. */
  readonly sessions: ServiceClient<typeof SessionService>;
  /** Works on legs that together are a phone call. */
  readonly calls: ServiceClient<typeof CallService>;
  /** Runs commands in the background. */
  readonly jobs: ServiceClient<typeof JobService>;
  /** Streams and publishes events; see `subscribe` for a stream that resumes. */
  readonly events: ServiceClient<typeof EventService>;
  /** Shows the FreeSWITCH nodes. */
  readonly nodes: ServiceClient<typeof NodeService>;

  /** Over a transport of the caller's own, for which nothing is done that `connect` does for one. */
  constructor(
    readonly transport: Transport,
    private readonly end: () => void = () => {},
  ) {
    this.sessions = createClient(SessionService, transport);
    this.calls = createClient(CallService, transport);
    this.jobs = createClient(JobService, transport);
    this.events = createClient(EventService, transport);
    this.nodes = createClient(NodeService, transport);
  }

  /** Ends the connection and all RPCs on it. */
  close(): void {
    this.end();
  }

  /**
   * Places a call and returns what is told of the leg that was answered. The `hangupCause` of a `SwitchgateError` says why
   * there is none.
   *
   * The gateway hangs up when the timeout passes or the signal aborts before the answer. A request id is given to a
   * request that has none, so that the call survives the end of a connection or gateway: it is asked for again, and not
   * placed twice.
   */
  async originate(
    request: MessageInitShape<typeof OriginateRequestSchema>,
    options?: CallOptions,
  ): Promise<OriginateResponse> {
    const own = create(OriginateRequestSchema, request);
    return this.sessions.originate({ ...own, requestId: own.requestId || randomUUID() }, options);
  }

  /**
   * Hangs a leg up and returns it as it was then. A leg that has ended already, also by an earlier attempt of this very
   * call whose answer was lost, is no error; undefined when no gateway knows it any more.
   */
  async hangup(
    sessionId: string,
    cause = HangupCause.UNSPECIFIED,
    options?: CallOptions,
  ): Promise<Session | undefined> {
    const counted = { count: 0 };
    const contextValues = (options?.contextValues ?? createContextValues()).set(attempts, counted);
    try {
      return (await this.sessions.hangup({ sessionId, cause }, { ...options, contextValues })).session;
    } catch (thrown) {
      const error = SwitchgateError.of(thrown);
      if (error.reason === ErrorReason.SESSION_NOT_FOUND && counted.count > 1) return undefined;
      if (error.reason !== ErrorReason.SESSION_ENDED) throw error;
    }
    try {
      return (await this.sessions.getSession({ sessionId }, options)).session;
    } catch (thrown) {
      if (SwitchgateError.of(thrown).reason === ErrorReason.SESSION_NOT_FOUND) return undefined;
      throw thrown;
    }
  }

  /**
   * Begins a subscription that goes on by itself when its connection or gateway ends. The request says what is wanted and
   * where to begin.
   */
  subscribe(request: MessageInitShape<typeof SubscribeRequestSchema> = {}, options?: SubscribeOptions): Subscription {
    return new Subscription(this.events, request, options);
  }
}

/**
 * Makes a client of a gateway at `host:port`. It does not wait for a connection; the first RPC does.
 *
 * What is sent again, with growing pauses within the RPC's timeout (30 s where it has none):
 *
 * - RPCs that change nothing, when the connection or gateway ends; a stream of these as long as it has told nothing.
 * - Any unary RPC that a gateway refused with RetryInfo, which says that nothing was done, and any RPC for which there was
 *   no connection.
 * - When the connection or gateway ends, also where it may have been done: RPCs of which a second time changes nothing
 *   (Hangup, Answer, Hold and the like), and Originate with a request id, by which FreeSWITCH itself refuses a second leg.
 *
 * All RPCs go over one connection to one of the addresses that the name has. When its gateway ends, the next RPC looks
 * the name up again.
 */
export function connect(target: string, options: ConnectOptions = {}): Client {
  const { token, tokenFile, plaintext = false, tls, waitForReady = true, retries = true } = options;
  if (token !== undefined && tokenFile !== undefined) throw new TypeError("token and tokenFile: give one of them");
  const baseUrl = `${plaintext ? "http" : "https"}://${target}`;
  const keepalive = {
    pingIntervalMs: KEEPALIVE_MS,
    pingTimeoutMs: KEEPALIVE_TIMEOUT_MS,
    pingIdleConnection: true,
  };
  const sessionManager = new Http2SessionManager(baseUrl, keepalive, plaintext ? undefined : tls);
  const transport = createGrpcTransport({
    baseUrl,
    sessionManager,
    readMaxBytes: MAX_MESSAGE,
    interceptors: options.interceptors ?? [],
  });
  const source = tokenFile === undefined ? token : async () => (await readFile(tokenFile, "utf8")).trim();
  return new Client(careful(transport, { token: source, retries, waitForReady }), () => sessionManager.abort());
}
