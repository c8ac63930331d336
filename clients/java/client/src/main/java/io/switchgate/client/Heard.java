package io.switchgate.client;

import io.switchgate.v1.Event;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Knows which events were told. FreeSWITCH numbers its events, so that they are the same at every gateway. */
final class Heard {
    /** How many events are known again: minutes of a busy node. */
    static final int REMEMBERED = 1 << 15;

    /** Allows for events that were fired in another order than their time stamps say. */
    private static final Duration SLACK = Duration.ofSeconds(1);

    /** A session has them once: one that the gateway concludes tells nothing new when FreeSWITCH told it. */
    private static final Set<String> ONCE_IN_LIFE = Set.of(
            "CHANNEL_CREATE", "CHANNEL_PROGRESS", "CHANNEL_PROGRESS_MEDIA", "CHANNEL_ANSWER", "CHANNEL_HANGUP",
            "CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY");

    /** The times of what was told, the oldest first, to go first. */
    private final Map<Identity, Instant> known = new LinkedHashMap<>();

    /** When the first message came, by this machine's clock. */
    private Instant start;

    /** Of an event of FreeSWITCH (core, sequence), or of something that a session has once (session, name). */
    private record Identity(String of, String name, long sequence) {}

    /** Notes when the subscription began. */
    void begin() {
        if (start == null) {
            start = Instant.now();
        }
    }

    int size() {
        return known.size();
    }

    /** The events that were not told before. Only a journal that is read from its beginning tells events again. */
    List<Event> fresh(List<Event> events, boolean replayed) {
        var fresh = new ArrayList<Event>(events.size());
        var floor = floor();
        for (var event : events) {
            var time = Instant.ofEpochSecond(event.getTime().getSeconds(), event.getTime().getNanos());
            if (replayed && (wasTold(event) || !time.isAfter(floor))) {
                continue;
            }
            identities(event).forEach(identity -> remember(identity, time));
            fresh.add(event);
        }
        return fresh;
    }

    private boolean wasTold(Event event) {
        // What FreeSWITCH tells after the gateway has concluded it is news: it has all the headers.
        return identities(event).stream()
                .anyMatch(identity -> known.containsKey(identity) && (event.getSynthetic() || identity.name.isEmpty()));
    }

    /** The time up to which everything was told, or was before the subscription. */
    private Instant floor() {
        if (known.isEmpty()) {
            return start.minus(SLACK);
        }
        var oldest = known.values().iterator().next();
        // No slack once the oldest go: what is told again for it would push out what is known, and so have all told again.
        return known.size() < REMEMBERED ? oldest.minus(SLACK) : oldest;
    }

    private void remember(Identity identity, Instant time) {
        if (known.putIfAbsent(identity, time) == null && known.size() > REMEMBERED) {
            var oldest = known.keySet().iterator();
            oldest.next();
            oldest.remove();
        }
    }

    private static List<Identity> identities(Event event) {
        var identities = new ArrayList<Identity>(2);
        if (!event.getSynthetic()) {
            identities.add(new Identity(event.getCoreUuid(), "", event.getSequence()));
        }
        if (!event.getSessionId().isEmpty() && ONCE_IN_LIFE.contains(event.getName())) {
            identities.add(new Identity(event.getSessionId(), event.getName(), 0));
        }
        return identities;
    }
}
