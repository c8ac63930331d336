package io.switchgate.client;

import io.grpc.Channel;
import io.grpc.Context;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.switchgate.v1.ErrorReason;
import io.switchgate.v1.EventServiceGrpc;
import io.switchgate.v1.StartEarliest;
import io.switchgate.v1.StartSnapshot;
import io.switchgate.v1.SubscribeRequest;
import io.switchgate.v1.SubscribeResponse;
import io.switchgate.v1.SubscribeStart;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Queue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * A stream of events that goes on by itself when its connection or gateway ends.
 *
 * <pre>{@code
 * try (var subscription = client.subscribe(request)) {
 *     for (var update : subscription) {
 *         if (update instanceof Update.Events told) { ... }
 *     }
 * }
 * }</pre>
 *
 * <p>It is read by one thread at a time, at its own pace; any thread may close it, which ends a loop that waits, as does the
 * end of gRPC's {@link Context} in which it was begun. The loop throws a {@link SwitchgateException} when the gateway refuses the subscription for good: the request is malformed, or the
 * caller may not; and one with the code CANCELLED when its thread is interrupted.
 */
public final class EventSubscription implements Iterable<Update>, AutoCloseable {
    /** How long a stream has to last for the next pause to be a short one again. */
    private static final Duration STEADY = Duration.ofSeconds(5);

    private static final SubscribeStart SNAPSHOT =
            SubscribeStart.newBuilder().setSnapshot(StartSnapshot.getDefaultInstance()).build();
    private static final SubscribeStart EARLIEST =
            SubscribeStart.newBuilder().setEarliest(StartEarliest.getDefaultInstance()).build();

    private final Channel channel;
    private final CountDownLatch closed = new CountDownLatch(1);
    private final Context.CancellableContext life = Context.current().withCancellation();
    private final SubscribeRequest.Builder request;
    /** Whether the subscription wants snapshots, and whether one is under way: it cannot be resumed. */
    private final boolean snapshots;

    private final Heard heard = new Heard();
    private final Queue<Update> pending = new ArrayDeque<>();

    private Iterator<SubscribeResponse> stream;
    private Context.CancellableContext streamLife;
    private long began;
    private Pauses pauses = Pauses.endless();
    private boolean within;
    /** Whether events may come that were told before. */
    private boolean replayed;

    private volatile String cursor;
    private volatile Consumer<SwitchgateException> reconnecting = why -> {};

    EventSubscription(Channel channel, SubscribeRequest wanted) {
        this.channel = channel;
        request = wanted.toBuilder();
        cursor = wanted.getStart().getCursor();
        snapshots = wanted.getStart().hasSnapshot();
        within = snapshots;
    }

    /** Tells why a stream ended, each time before another one is tried. */
    public EventSubscription onReconnect(Consumer<SwitchgateException> tell) {
        reconnecting = tell;
        return this;
    }

    /** Is behind everything that was told. Empty before the first update. */
    public String cursor() {
        return cursor;
    }

    /** Ends the subscription. */
    @Override
    public void close() {
        closed.countDown();
        life.cancel(null);
    }

    /** The updates, as they come. All iterators of a subscription go on where the last one was. */
    @Override
    public Iterator<Update> iterator() {
        return new Iterator<>() {
            private Update next;

            @Override
            public boolean hasNext() {
                if (next == null) {
                    next = receive();
                }
                return next != null;
            }

            @Override
            public Update next() {
                if (!hasNext()) {
                    throw new NoSuchElementException("the subscription is closed");
                }
                var update = next;
                next = null;
                return update;
            }
        };
    }

    /** Waits for the next update. Null when the subscription was closed. */
    private Update receive() {
        while (!isClosed()) {
            if (!pending.isEmpty()) {
                return pending.remove();
            }
            try {
                begin();
                if (stream.hasNext()) {
                    var update = take(stream.next());
                    if (update != null) {
                        return update;
                    }
                    continue;
                }
                // A proxy that ends streams in good order; the gateway does not.
                recover(Status.UNAVAILABLE.withDescription("the stream has ended").asRuntimeException());
            } catch (StatusRuntimeException e) {
                recover(e);
            }
        }
        leave();
        return null;
    }

    private boolean isClosed() {
        return closed.getCount() == 0 || life.isCancelled();
    }

    private void begin() {
        if (stream != null) {
            return;
        }
        streamLife = life.withCancellation();
        began = System.nanoTime();
        var previous = streamLife.attach();
        try {
            stream = EventServiceGrpc.newBlockingStub(channel).subscribe(request.build());
        } finally {
            streamLife.detach(previous);
        }
    }

    private void leave() {
        if (streamLife != null) {
            streamLife.cancel(null);
        }
        stream = null;
        streamLife = null;
    }

    /** Makes an update of a message; null for one that tells nothing new. */
    private Update take(SubscribeResponse message) {
        heard.begin();
        var at = message.getCursor();
        cursor = at;
        Update update = switch (message.getMessageCase()) {
            case EVENTS -> {
                var events = heard.fresh(message.getEvents().getEventsList(), replayed);
                yield events.isEmpty() ? null : new Update.Events(at, events);
            }
            case GAP -> new Update.Missing(at, message.getGap());
            case NODE_STATE -> new Update.NodeChanged(at, message.getNodeState());
            case SNAPSHOT -> new Update.SnapshotPart(at, message.getSnapshot());
            case SNAPSHOT_END -> {
                within = false;
                yield new Update.SnapshotWhole(at, message.getSnapshotEnd());
            }
            // A newer gateway may tell what is not known here.
            case CHECKPOINT, MESSAGE_NOT_SET -> null;
        };
        if (!within) {
            request.setStart(SubscribeStart.newBuilder().setCursor(at));
        }
        return update;
    }

    /** Makes ready for another stream behind one that failed, and pauses; throws when there is no use in one. */
    private void recover(StatusRuntimeException failure) {
        leave();
        if (isClosed()) {
            return;
        }
        var why = SwitchgateException.from(failure);
        if (Thread.currentThread().isInterrupted()) {
            throw why;
        }
        if (why.reason() == ErrorReason.ERROR_REASON_CURSOR_LOST) {
            move(why);
        } else if (!isWorthAnother(why)) {
            throw why;
        }
        reconnecting.accept(why);
        if (System.nanoTime() - began > STEADY.toNanos()) {
            pauses = Pauses.endless();
        }
        try {
            closed.await(pauses.next(why).toNanos(), TimeUnit.NANOSECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw SwitchgateException.from(
                    Status.CANCELLED.withDescription("interrupted").withCause(e).asRuntimeException());
        }
    }

    private static boolean isWorthAnother(SwitchgateException why) {
        return why.connectionEnded()
                || why.retryAfter().isPresent()
                || why.reason() == ErrorReason.ERROR_REASON_SLOW_CONSUMER
                || why.code() == Status.Code.DEADLINE_EXCEEDED;
    }

    /** Goes on where the journal begins, or with what there is. */
    private void move(SwitchgateException reason) {
        if (snapshots) {
            request.setStart(SNAPSHOT);
            within = true;
        } else {
            request.setStart(EARLIEST);
            replayed = true;
        }
        pending.add(new Update.Moved(cursor, reason));
    }
}
