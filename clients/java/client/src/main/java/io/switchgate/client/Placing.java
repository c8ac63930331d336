package io.switchgate.client;

import io.grpc.Channel;
import io.grpc.Deadline;
import io.grpc.Status;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import io.grpc.stub.StreamObserver;
import io.switchgate.v1.HangupCause;
import io.switchgate.v1.HangupRequest;
import io.switchgate.v1.HangupResponse;
import io.switchgate.v1.OriginateRequest;
import io.switchgate.v1.OriginateStreamRequest;
import io.switchgate.v1.OriginateStreamResponse;
import io.switchgate.v1.Session;
import io.switchgate.v1.SessionServiceGrpc;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;

/** Asks for a call until it is answered or fails, and hangs it up when nobody waits for it any more. */
final class Placing {
    /** How long a call that is given up may take to tell the names of its legs: what has none could not be hung up. */
    private static final Duration NAMES_WITHIN = Duration.ofSeconds(1);

    /** How long it may take to hang them up. */
    private static final Duration CLEAN_UP = Duration.ofSeconds(5);

    private final Channel channel;
    private final OriginateStreamRequest request;
    private final Deadline deadline;
    private final Consumer<OriginateStreamResponse> progress;
    private final Origination future;
    private final Pauses pauses;

    // Guarded by this.
    private List<String> legs = List.of();
    private ClientCallStreamObserver<OriginateStreamRequest> stream;
    private boolean pausing;
    private boolean givenUp;
    private boolean over;

    Placing(
            Channel channel,
            OriginateRequest request,
            Deadline deadline,
            Consumer<OriginateStreamResponse> progress,
            Origination future) {
        this.channel = channel;
        this.request = OriginateStreamRequest.newBuilder().setOriginate(request).build();
        this.deadline = deadline;
        this.progress = progress;
        this.future = future;
        pauses = Pauses.within(deadline);
    }

    void start() {
        future.whenComplete((session, failure) -> giveUp());
        attempt();
    }

    /** Under the lock, so that what is left has been started. */
    private synchronized void attempt() {
        SessionServiceGrpc.newStub(channel).withDeadline(deadline).originateStream(request, new Attempt());
    }

    /** Leaves the call, unless it is over: at once when its legs are known, else as soon as they are. */
    private void giveUp() {
        boolean named;
        boolean idle;
        synchronized (this) {
            if (over) {
                return;
            }
            givenUp = true;
            named = !legs.isEmpty();
            idle = pausing;
            pausing = false;
        }
        if (idle) {
            hangUp();
        } else if (named) {
            leave();
        } else {
            after(NAMES_WITHIN).execute(this::leave);
        }
    }

    private void leave() {
        ClientCallStreamObserver<OriginateStreamRequest> running;
        synchronized (this) {
            running = stream;
        }
        if (running != null) {
            running.cancel("nobody waits for the call", null);
        }
    }

    private void named(List<String> ids) {
        boolean leave;
        synchronized (this) {
            if (legs.isEmpty()) {
                legs = List.copyOf(ids);
            }
            leave = givenUp;
        }
        if (leave) {
            leave();
        }
    }

    private void answered(Session session) {
        synchronized (this) {
            over = true;
        }
        if (future.complete(session)) {
            future.release();
        } else {
            hangUp();
        }
    }

    private void failed(Throwable failure) {
        var why = SwitchgateException.from(failure);
        boolean up;
        Duration pause = null;
        synchronized (this) {
            if (over) {
                return;
            }
            up = givenUp || why.code() == Status.Code.DEADLINE_EXCEEDED;
            if (!up && Rpcs.mayRepeat(SessionServiceGrpc.getOriginateStreamMethod(), request, why)) {
                pause = pauses.next(why);
                pausing = pause != null;
            }
            over = pause == null;
        }
        if (pause != null) {
            after(pause).execute(this::again);
            return;
        }
        future.completeExceptionally(why);
        if (up) {
            hangUp();
        } else {
            future.release();
        }
    }

    private synchronized void again() {
        if (pausing) {
            pausing = false;
            attempt();
        }
    }

    /** Ends what is left of the call. What fails here, nobody could do better. */
    private void hangUp() {
        List<String> ids;
        synchronized (this) {
            over = true;
            ids = legs;
        }
        var left = new AtomicInteger(ids.size());
        if (ids.isEmpty()) {
            future.release();
        }
        for (var id : ids) {
            var hangup = HangupRequest.newBuilder()
                    .setSessionId(id)
                    .setCause(HangupCause.HANGUP_CAUSE_ORIGINATOR_CANCEL)
                    .build();
            SessionServiceGrpc.newStub(channel)
                    .withDeadlineAfter(CLEAN_UP.toNanos(), TimeUnit.NANOSECONDS)
                    .hangup(hangup, new HungUp(left));
        }
    }

    private static Executor after(Duration pause) {
        return CompletableFuture.delayedExecutor(pause.toNanos(), TimeUnit.NANOSECONDS);
    }

    private final class Attempt implements ClientResponseObserver<OriginateStreamRequest, OriginateStreamResponse> {
        private boolean ended;

        @Override
        public void beforeStart(ClientCallStreamObserver<OriginateStreamRequest> call) {
            synchronized (Placing.this) {
                stream = call;
            }
        }

        @Override
        public void onNext(OriginateStreamResponse told) {
            if (told.hasAccepted()) {
                named(told.getAccepted().getSessionIdsList());
            }
            try {
                progress.accept(told);
            } catch (RuntimeException e) {
                // Else gRPC ends the stream, and the call would be asked for again.
                future.completeExceptionally(e);
            }
            if (told.hasEnded()) {
                ended = true;
                answered(told.getEnded().getSession());
            }
        }

        @Override
        public void onError(Throwable failure) {
            failed(failure);
        }

        @Override
        public void onCompleted() {
            if (!ended) {
                failed(Status.DATA_LOSS
                        .withDescription("the call's progress ended without its end")
                        .asRuntimeException());
            }
        }
    }

    /** Counts the legs that are down. */
    private final class HungUp implements StreamObserver<HangupResponse> {
        private final AtomicInteger left;

        HungUp(AtomicInteger left) {
            this.left = left;
        }

        @Override
        public void onNext(HangupResponse response) {
            // That it ended is what counts.
        }

        @Override
        public void onError(Throwable failure) {
            onCompleted();
        }

        @Override
        public void onCompleted() {
            if (left.decrementAndGet() == 0) {
                future.release();
            }
        }
    }
}
