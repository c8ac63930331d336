/**
 * TypeScript client of Switchgate, the gRPC control plane for FreeSWITCH. `connect` gives a `Client`, on which the clients
 * of all services hang; messages and enums are in `@switchgate/client/v1`.
 *
 * @packageDocumentation
 */
export { Client, connect, type ConnectOptions } from "./client.js";
export { SwitchgateError, type Violation } from "./errors.js";
export { Subscription, type Moved, type SubscribeOptions, type Update } from "./subscribe.js";
export { Code } from "@connectrpc/connect";
