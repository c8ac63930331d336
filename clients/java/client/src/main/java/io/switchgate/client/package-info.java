/**
 * The Java client of Switchgate, the gRPC control plane for FreeSWITCH.
 *
 * <p>{@link io.switchgate.client.SwitchgateClient} connects to one gateway or several; the stubs of all services hang on
 * it. To the generated code (package {@code io.switchgate.v1}) it adds what every client needs:
 *
 * <ul>
 *   <li>channels that are kept alive, spread over all gateways behind a name, and leave those that are about to stop;
 *   <li>retries of what is safe to send again, and of nothing else, see {@link
 *       io.switchgate.client.SwitchgateClientBuilder};
 *   <li>errors with their reason, hangup cause and what else Switchgate tells: {@link
 *       io.switchgate.client.SwitchgateException};
 *   <li>a call that is hung up when nobody waits for it any more: {@link io.switchgate.client.Origination};
 *   <li>a subscription that goes on where it was when a connection or a gateway ends: {@link
 *       io.switchgate.client.EventSubscription}.
 * </ul>
 */
package io.switchgate.client;
