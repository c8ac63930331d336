package io.switchgate.client;

import io.grpc.CallCredentials;
import io.grpc.ChannelCredentials;
import io.grpc.Deadline;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannelBuilder;
import io.grpc.TlsChannelCredentials;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * Makes a {@link SwitchgateClient}.
 *
 * <p>RPCs go round all addresses that the target has, as of a headless service of Kubernetes, and pass by gateways whose
 * health is not SERVING. Without a deadline, an RPC waits as long as no gateway is there: give each one by {@code
 * withDeadlineAfter}, or all of them by {@link #deadline}.
 *
 * <p>What is sent again, with growing pauses within the RPC's deadline (30 s where it has none):
 *
 * <ul>
 *   <li>RPCs that change nothing, on UNAVAILABLE; a stream of these as long as it has told nothing.
 *   <li>Any unary RPC that a gateway refused with RetryInfo, which says that nothing was done.
 *   <li>On UNAVAILABLE, also where it may have been done: RPCs of which a second time changes nothing (Hangup, Answer,
 *       Hold and the like), and Originate with a request_id, by which FreeSWITCH itself refuses a second leg.
 * </ul>
 *
 * <p>Nothing else is: a Playback, SendDtmf or RunJob might happen twice, since the next gateway knows no request_id of
 * the first one.
 */
public final class SwitchgateClientBuilder {
    private static final Duration KEEPALIVE_TIME = Duration.ofSeconds(30);
    private static final Duration KEEPALIVE_TIMEOUT = Duration.ofSeconds(10);

    /** An event can hold all variables of a channel. */
    private static final int MAX_MESSAGE = 64 << 20;

    private final String target;
    private ChannelCredentials credentials = TlsChannelCredentials.create();
    private CallCredentials token;
    private boolean retries = true;
    private boolean health = true;
    private boolean waitForReady = true;
    private Duration deadline;
    private Consumer<ManagedChannelBuilder<?>> more = channel -> {};

    SwitchgateClientBuilder(String target) {
        this.target = Objects.requireNonNull(target, "target");
    }

    /**
     * Speaks without TLS. Whoever listens on the way reads tokens and calls: for loopback, and for meshes that encrypt
     * themselves.
     */
    public SwitchgateClientBuilder plaintext() {
        return tls(InsecureChannelCredentials.create());
    }

    /** Trusts the authorities of a PEM file instead of the system's. */
    public SwitchgateClientBuilder trust(Path authorities) throws IOException {
        return tls(TlsChannelCredentials.newBuilder().trustManager(authorities.toFile()).build());
    }

    /** Trusts the authorities of a PEM file, and shows a client certificate, both PEM files. */
    public SwitchgateClientBuilder mutualTls(Path authorities, Path chain, Path key) throws IOException {
        return tls(TlsChannelCredentials.newBuilder()
                .trustManager(authorities.toFile())
                .keyManager(chain.toFile(), key.toFile())
                .build());
    }

    /** Says how to speak TLS in gRPC's own terms. */
    public SwitchgateClientBuilder tls(ChannelCredentials channelCredentials) {
        credentials = Objects.requireNonNull(channelCredentials, "credentials");
        return this;
    }

    /** Sends a bearer token with each RPC. */
    public SwitchgateClientBuilder token(String bearer) {
        Objects.requireNonNull(bearer, "token");
        return tokenSource(() -> bearer);
    }

    /** Sends the bearer token that stands in a file, which is read for each RPC: Kubernetes renews it there. */
    public SwitchgateClientBuilder tokenFile(Path file) {
        Objects.requireNonNull(file, "file");
        return tokenSource(() -> Files.readString(file).strip());
    }

    /** Asks for the bearer token of each RPC. It should answer from memory while the token is good. */
    public SwitchgateClientBuilder tokenSource(Callable<String> source) {
        token = new BearerToken(Objects.requireNonNull(source, "source"));
        return this;
    }

    /** Gives unary RPCs this deadline where they have none of their own. */
    public SwitchgateClientBuilder deadline(Duration unary) {
        deadline = Objects.requireNonNull(unary, "deadline");
        return this;
    }

    /** Lets RPCs fail with UNAVAILABLE when no gateway is there. */
    public SwitchgateClientBuilder failFast() {
        waitForReady = false;
        return this;
    }

    /** Sends everything once. */
    public SwitchgateClientBuilder withoutRetries() {
        retries = false;
        return this;
    }

    /**
     * Also asks gateways whose health is NOT_SERVING: those that have no node in service, as when nodes are to be looked at
     * for that very reason, and those that are about to stop.
     */
    public SwitchgateClientBuilder withoutHealthCheck() {
        health = false;
        return this;
    }

    /** Changes the channel further, as by interceptors of the caller's own. */
    public SwitchgateClientBuilder configure(Consumer<ManagedChannelBuilder<?>> change) {
        more = more.andThen(change);
        return this;
    }

    /** Makes the client. It does not wait for a connection; the first RPC does. */
    public SwitchgateClient build() {
        var name = target.contains(",") ? ListResolverProvider.SCHEME + ":///" + target.replace(" ", "") : target;
        return build(Grpc.newChannelBuilder(name, credentials));
    }

    /** Makes the client over a channel of tests. */
    SwitchgateClient build(ManagedChannelBuilder<?> channel) {
        channel.defaultServiceConfig(serviceConfig())
                .keepAliveTime(KEEPALIVE_TIME.toSeconds(), TimeUnit.SECONDS)
                .keepAliveTimeout(KEEPALIVE_TIMEOUT.toSeconds(), TimeUnit.SECONDS)
                .keepAliveWithoutCalls(true)
                .maxInboundMessageSize(MAX_MESSAGE)
                .userAgent("switchgate-java");
        more.accept(channel);
        // The last one is the first to see an RPC: the deadline covers all repeats, and each of these has its own token.
        if (token != null) {
            channel.intercept(BearerToken.interceptor(token));
        }
        if (retries) {
            channel.enableRetry().intercept(new Repeater());
        }
        if (deadline != null) {
            channel.intercept(new DefaultDeadline(deadline));
        }
        return new SwitchgateClient(channel.build());
    }

    /** Says in gRPC's own terms how RPCs are spread and which may be sent again. */
    Map<String, ?> serviceConfig() {
        var balancing = Map.of("loadBalancingConfig", List.of(Map.of("round_robin", Map.of())));
        var all = Map.of("name", List.of(Map.of()), "waitForReady", waitForReady);
        var config = new HashMap<String, Object>(balancing);
        config.put("methodConfig", retries ? List.of(all, reads()) : List.of(all));
        if (health) {
            config.put("healthCheckConfig", Map.of("serviceName", ""));
        }
        return config;
    }

    private Map<String, ?> reads() {
        var names = Rpcs.reads().stream()
                .map(method -> Map.of("service", method.getServiceName(), "method", method.getBareMethodName()))
                .toList();
        var policy = Map.of(
                "maxAttempts", 5.0,
                "initialBackoff", "0.1s",
                "maxBackoff", "2s",
                "backoffMultiplier", 2.0,
                "retryableStatusCodes", List.of("UNAVAILABLE"));
        return Map.of("name", names, "waitForReady", waitForReady, "retryPolicy", policy);
    }
}
