package io.switchgate.client;

import io.grpc.Deadline;
import java.time.Duration;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/** The pauses between attempts: longer each time, and as long as the gateway asks for. */
final class Pauses {
    /** Comes before the first repeat, and is doubled for each further one. */
    private static final Duration FIRST = Duration.ofMillis(25);

    /** As long as it gets. */
    private static final Duration LONGEST = Duration.ofSeconds(2);

    /** Bounds the repeats of an RPC without a deadline: as long as the gateway gives one by default. */
    private static final long PATIENCE_SECONDS = 30;

    /** Null for no end. */
    private final Deadline end;

    private Duration next = FIRST;

    private Pauses(Deadline end) {
        this.end = end;
    }

    /** Pauses within a deadline, or within a patience where that is null. */
    static Pauses within(Deadline deadline) {
        return new Pauses(deadline == null ? Deadline.after(PATIENCE_SECONDS, TimeUnit.SECONDS) : deadline);
    }

    /** Pauses without an end. */
    static Pauses endless() {
        return new Pauses(null);
    }

    /** The next pause, null when it would end behind the deadline. */
    Duration next(SwitchgateException why) {
        var pause = Duration.ofNanos((long) (next.toNanos() * ThreadLocalRandom.current().nextDouble(0.5, 1.5)));
        var doubled = next.multipliedBy(2);
        next = doubled.compareTo(LONGEST) < 0 ? doubled : LONGEST;
        var asked = why.retryAfter().orElse(Duration.ZERO);
        if (asked.compareTo(pause) > 0) {
            pause = asked;
        }
        var fits = end == null || end.timeRemaining(TimeUnit.NANOSECONDS) > pause.toNanos();
        return fits ? pause : null;
    }
}
