package io.switchgate.client;

import io.grpc.Channel;
import io.grpc.Deadline;
import io.switchgate.v1.OriginateRequest;
import io.switchgate.v1.OriginateStreamResponse;
import io.switchgate.v1.OriginateWait;
import io.switchgate.v1.Session;
import java.time.Duration;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * A call that is being placed: it completes with the leg that was answered, or with a {@link SwitchgateException} whose
 * {@link SwitchgateException#hangupCause} says why there is none.
 *
 * <p>When nobody waits for it any more, because its timeout has passed, it is cancelled or completed otherwise ({@link
 * #cancel}, {@link #orTimeout}), the call is hung up wherever it has got to: also a leg that is answered at that very
 * moment. {@link #released} completes when the legs are down. Futures that are made of this one ({@link #thenApply}) do
 * not cancel it.
 *
 * <p>A request_id is given to a request that has none, so that the call survives the end of a connection or gateway: it is
 * asked for again, and not placed twice.
 *
 * <p>With detach, and with a wait_for of PROGRESS or STARTED, the call is nobody's once it is placed: to cancel then ends
 * the waiting alone, or what the gateway makes of it.
 */
public final class Origination extends CompletableFuture<Session> {
    private final CompletableFuture<Void> released = new CompletableFuture<>();

    private Origination() {}

    static Origination place(
            Channel channel, OriginateRequest request, Duration timeout, Consumer<OriginateStreamResponse> progress) {
        var own = request.getRequestId().isEmpty()
                ? request.toBuilder().setRequestId(UUID.randomUUID().toString()).build()
                : request;
        var deadline = Deadline.after(timeout.toNanos(), TimeUnit.NANOSECONDS);
        var future = new Origination();
        if (isNobodys(own)) {
            DetachedPlacing.start(channel, own, deadline, future);
        } else {
            new Placing(channel, own, deadline, progress, future).start();
        }
        return future;
    }

    /** Completes when nothing is left of a call that failed or was given up; and with the leg where there is one. */
    public CompletableFuture<Void> released() {
        return released.copy();
    }

    void release() {
        released.complete(null);
    }

    /** Dependent stages are plain futures: they own no call. */
    @Override
    public <U> CompletableFuture<U> newIncompleteFuture() {
        return new CompletableFuture<>();
    }

    private static boolean isNobodys(OriginateRequest request) {
        var wait = request.getWaitFor();
        return request.getDetach()
                || wait == OriginateWait.ORIGINATE_WAIT_PROGRESS
                || wait == OriginateWait.ORIGINATE_WAIT_STARTED;
    }
}
