package io.switchgate.client;

import io.grpc.Channel;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import io.switchgate.v1.CallServiceGrpc;
import io.switchgate.v1.CallServiceGrpc.CallServiceBlockingStub;
import io.switchgate.v1.ErrorReason;
import io.switchgate.v1.EventServiceGrpc;
import io.switchgate.v1.EventServiceGrpc.EventServiceBlockingStub;
import io.switchgate.v1.GetSessionRequest;
import io.switchgate.v1.HangupCause;
import io.switchgate.v1.HangupRequest;
import io.switchgate.v1.JobServiceGrpc;
import io.switchgate.v1.JobServiceGrpc.JobServiceBlockingStub;
import io.switchgate.v1.NodeServiceGrpc;
import io.switchgate.v1.NodeServiceGrpc.NodeServiceBlockingStub;
import io.switchgate.v1.OriginateRequest;
import io.switchgate.v1.OriginateStreamResponse;
import io.switchgate.v1.Session;
import io.switchgate.v1.SessionServiceGrpc;
import io.switchgate.v1.SessionServiceGrpc.SessionServiceBlockingStub;
import io.switchgate.v1.SubscribeRequest;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;

/**
 * Holds the stubs of all services over one channel. It is safe for concurrent use; one is enough for a program.
 *
 * <pre>{@code
 * try (var client = SwitchgateClient.builder("gateway.example.net:50061").tokenFile(Path.of("/run/secrets/token")).build()) {
 *     var session = client.originate(OriginateRequest.newBuilder().addEndpoints("user/1000").build(), timeout).join();
 * }
 * }</pre>
 */
public final class SwitchgateClient implements AutoCloseable {
    private static final Duration SHUTDOWN = Duration.ofSeconds(5);

    private final Channel channel;
    private final ManagedChannel owned;

    SwitchgateClient(ManagedChannel channel) {
        this.channel = channel;
        owned = channel;
    }

    /**
     * A client over a channel of the caller's own. Of what {@link SwitchgateClientBuilder} does for a channel it does
     * nothing, and {@link #close} leaves it open.
     */
    public SwitchgateClient(Channel channel) {
        this.channel = channel;
        owned = null;
    }

    /**
     * Begins a client.
     *
     * @param target {@code host:port}, or any of gRPC's ({@code dns:///}, {@code unix:}), or several {@code host:port} with
     *     commas between
     */
    public static SwitchgateClientBuilder builder(String target) {
        return new SwitchgateClientBuilder(target);
    }

    /** The channel, for stubs of other kinds, such as {@code SessionServiceGrpc.newFutureStub}. */
    public Channel channel() {
        return channel;
    }

    /** Works on single legs. */
    public SessionServiceBlockingStub sessions() {
        return SessionServiceGrpc.newBlockingStub(channel);
    }

    /** Works on legs that together are a phone call. */
    public CallServiceBlockingStub calls() {
        return CallServiceGrpc.newBlockingStub(channel);
    }

    /** Runs commands in the background. */
    public JobServiceBlockingStub jobs() {
        return JobServiceGrpc.newBlockingStub(channel);
    }

    /** Streams and publishes events; see {@link #subscribe} for a stream that resumes. */
    public EventServiceBlockingStub events() {
        return EventServiceGrpc.newBlockingStub(channel);
    }

    /** Shows the FreeSWITCH nodes. */
    public NodeServiceBlockingStub nodes() {
        return NodeServiceGrpc.newBlockingStub(channel);
    }

    /** Places a call, see {@link Origination}. The timeout is how long it may take to be answered. */
    public Origination originate(OriginateRequest request, Duration timeout) {
        return originate(request, timeout, progress -> {});
    }

    /**
     * Places a call and tells of it: that it was accepted, of each leg that is called, rings, is answered or has ended. After
     * the end of a connection, legs are told again as they are then. With detach, and with a wait_for of PROGRESS or STARTED,
     * nothing is told. The consumer must not block.
     */
    public Origination originate(
            OriginateRequest request, Duration timeout, Consumer<OriginateStreamResponse> progress) {
        return Origination.place(channel, request, timeout, progress);
    }

    /**
     * Begins a subscription, which lasts until it is closed or the gateway refuses it for good. The request says what is
     * wanted and where to begin. There is no connection yet when it returns.
     */
    public EventSubscription subscribe(SubscribeRequest request) {
        return new EventSubscription(channel, request);
    }

    /**
     * Hangs a leg up and returns it as it was then. A leg that has ended already, also by an earlier attempt of this very
     * call whose answer was lost, is no error; empty when no gateway knows it any more.
     *
     * @throws SwitchgateException when it cannot be hung up
     */
    public Optional<Session> hangup(String sessionId, HangupCause cause, Duration timeout) {
        var attempts = new AtomicInteger();
        var stub = sessions()
                .withDeadlineAfter(timeout.toNanos(), TimeUnit.NANOSECONDS)
                .withOption(Repeater.ATTEMPTS, attempts);
        var request = HangupRequest.newBuilder().setSessionId(sessionId).setCause(cause).build();
        try {
            return Optional.of(stub.hangup(request).getSession());
        } catch (StatusRuntimeException e) {
            var why = SwitchgateException.from(e);
            if (why.reason() == ErrorReason.ERROR_REASON_SESSION_ENDED) {
                return find(stub, sessionId);
            }
            if (why.reason() == ErrorReason.ERROR_REASON_SESSION_NOT_FOUND && attempts.get() > 1) {
                return Optional.empty();
            }
            throw why;
        }
    }

    /** Ends the channel; RPCs under way have 5 s to end. */
    @Override
    public void close() {
        if (owned == null) {
            return;
        }
        owned.shutdown();
        try {
            if (!owned.awaitTermination(SHUTDOWN.toSeconds(), TimeUnit.SECONDS)) {
                owned.shutdownNow();
            }
        } catch (InterruptedException e) {
            owned.shutdownNow();
            Thread.currentThread().interrupt();
        }
    }

    private static Optional<Session> find(SessionServiceBlockingStub stub, String sessionId) {
        var request = GetSessionRequest.newBuilder().setSessionId(sessionId).build();
        try {
            return Optional.of(stub.getSession(request).getSession());
        } catch (StatusRuntimeException e) {
            var why = SwitchgateException.from(e);
            if (why.reason() == ErrorReason.ERROR_REASON_SESSION_NOT_FOUND) {
                return Optional.empty();
            }
            throw why;
        }
    }
}
