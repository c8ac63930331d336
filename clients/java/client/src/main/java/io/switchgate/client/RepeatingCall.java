package io.switchgate.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.Context;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** A unary RPC that may take several attempts. What an attempt tells is kept until it is known to be the last one. */
final class RepeatingCall<Q, P> extends ClientCall<Q, P> {
    private final MethodDescriptor<Q, P> method;
    private final CallOptions options;
    private final Channel channel;
    private final Context context = Context.current();
    /** Attempts listen to the context by themselves; a pause has to be told. */
    private final Context.CancellationListener wake = ended -> wake();
    private final Pauses pauses;

    private Listener<P> listener;
    private Metadata headers;
    private Q request;
    private boolean compressed = true;

    // Guards what follows, which cancel may meet at any time.
    private final Object lock = new Object();
    private ClientCall<Q, P> attempt;
    private boolean paused;
    private boolean cancelled;
    private String cancelMessage;
    private Throwable cancelCause;

    RepeatingCall(MethodDescriptor<Q, P> method, CallOptions options, Channel channel) {
        this.method = method;
        this.options = options;
        this.channel = channel;
        var deadline = options.getDeadline();
        var outer = context.getDeadline();
        pauses = Pauses.within(deadline == null || outer != null && outer.isBefore(deadline) ? outer : deadline);
    }

    @Override
    public void start(Listener<P> responseListener, Metadata metadata) {
        listener = responseListener;
        headers = metadata;
        context.addListener(wake, Runnable::run);
    }

    @Override
    public void request(int messages) {
        // Each attempt asks for all that a unary RPC can tell.
    }

    @Override
    public void sendMessage(Q message) {
        request = message;
    }

    @Override
    public void setMessageCompression(boolean enabled) {
        compressed = enabled;
    }

    @Override
    public void halfClose() {
        context.run(this::attempt);
    }

    @Override
    public void cancel(String message, Throwable cause) {
        ClientCall<Q, P> running;
        boolean resume;
        synchronized (lock) {
            cancelled = true;
            cancelMessage = message == null && cause == null ? "cancelled" : message;
            cancelCause = cause;
            running = attempt;
            resume = paused;
            paused = false;
        }
        if (resume) {
            // It is cancelled at once, and so tells the listener where it listens.
            context.run(this::attempt);
        } else if (running != null) {
            running.cancel(cancelMessage, cancelCause);
        }
    }

    /** Ends a pause. */
    private void wake() {
        synchronized (lock) {
            if (!paused) {
                return;
            }
            paused = false;
        }
        context.run(this::attempt);
    }

    private void attempt() {
        var count = options.getOption(Repeater.ATTEMPTS);
        if (count != null) {
            count.incrementAndGet();
        }
        var call = channel.newCall(method, options);
        boolean cancel;
        synchronized (lock) {
            attempt = call;
            cancel = cancelled;
        }
        var copy = new Metadata();
        copy.merge(headers);
        call.start(new Attempt(), copy);
        if (cancel) {
            call.cancel(cancelMessage, cancelCause);
            return;
        }
        call.setMessageCompression(compressed);
        call.sendMessage(request);
        call.halfClose();
        call.request(2);
    }

    /** False when nobody waits for another attempt. */
    private boolean pausing() {
        synchronized (lock) {
            paused = !cancelled;
            return paused;
        }
    }

    private void again(Duration pause) {
        var later = CompletableFuture.delayedExecutor(pause.toNanos(), TimeUnit.NANOSECONDS);
        later.execute(this::wake);
        if (context.isCancelled()) {
            // It was before there was a pause that could be told.
            wake();
        }
    }

    /** Null when the outcome counts. */
    private Duration pauseBeforeAnother(Status status, Metadata trailers) {
        if (status.isOk()) {
            return null;
        }
        var why = SwitchgateException.from(status.asRuntimeException(trailers));
        // Of RPCs that change nothing the service configuration has the repeats.
        var leave = method.isSafe() && status.getCode() == Status.Code.UNAVAILABLE
                || context.isCancelled()
                || !Rpcs.mayRepeat(method, request, why);
        return leave ? null : pauses.next(why);
    }

    private final class Attempt extends Listener<P> {
        private Metadata told;
        private P response;

        @Override
        public void onHeaders(Metadata metadata) {
            told = metadata;
        }

        @Override
        public void onMessage(P message) {
            response = message;
        }

        @Override
        public void onClose(Status status, Metadata trailers) {
            var pause = pauseBeforeAnother(status, trailers);
            if (pause != null && pausing()) {
                again(pause);
                return;
            }
            context.removeListener(wake);
            if (told != null) {
                listener.onHeaders(told);
            }
            if (response != null) {
                listener.onMessage(response);
            }
            listener.onClose(status, trailers);
        }

        @Override
        public void onReady() {
            listener.onReady();
        }
    }
}
