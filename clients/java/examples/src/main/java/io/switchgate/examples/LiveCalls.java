package io.switchgate.examples;

import io.switchgate.client.Update;
import io.switchgate.v1.Event;
import io.switchgate.v1.EventFilter;
import io.switchgate.v1.HeaderNames;
import io.switchgate.v1.HeaderSelection;
import io.switchgate.v1.StartSnapshot;
import io.switchgate.v1.SubscribeRequest;
import io.switchgate.v1.SubscribeStart;
import java.util.HashMap;
import java.util.Map;

/**
 * Keeps a list of the sessions that live, and prints what changes: first all there are, then each that begins, is answered,
 * or ends. It goes on over the end of connections and gateways.
 *
 * <pre>./example LiveCalls</pre>
 */
public final class LiveCalls {
    private static final SubscribeRequest REQUEST = SubscribeRequest.newBuilder()
            .setFilter(EventFilter.newBuilder()
                    .addEventNames("CHANNEL_CREATE")
                    .addEventNames("CHANNEL_ANSWER")
                    .addEventNames("CHANNEL_HANGUP_COMPLETE"))
            .setHeaderSelection(HeaderSelection.newBuilder()
                    .setNames(HeaderNames.newBuilder().addNames("Channel-Name").addNames("Hangup-Cause")))
            .setStart(SubscribeStart.newBuilder().setSnapshot(StartSnapshot.getDefaultInstance()))
            .build();

    /** The live sessions by their id, with what is shown of them. */
    private final Map<String, String> live = new HashMap<>();

    private LiveCalls() {}

    /** Takes the options of all examples. */
    public static void main(String[] arguments) {
        Example.run(arguments, (client, example) -> {
            var calls = new LiveCalls();
            try (var subscription = client.subscribe(REQUEST)) {
                subscription.forEach(calls::apply);
            }
        });
    }

    private void apply(Update update) {
        if (update instanceof Update.Moved) {
            // Another snapshot follows, which is all there is.
            live.clear();
        } else if (update instanceof Update.SnapshotPart part) {
            part.snapshot().getSessionsList().stream()
                    .filter(session -> !session.hasHangup())
                    .forEach(session -> live.put(session.getSessionId(), session.getChannelName()));
        } else if (update instanceof Update.SnapshotWhole) {
            System.out.println(live.size() + " sessions live");
        } else if (update instanceof Update.Events told) {
            told.events().forEach(this::apply);
        }
    }

    private void apply(Event event) {
        var id = event.getSessionId();
        var channel = event.getHeadersOrDefault("Channel-Name", "");
        if (!channel.isEmpty()) {
            live.put(id, channel);
        }
        var name = live.getOrDefault(id, id);
        var what = switch (event.getName()) {
            case "CHANNEL_CREATE" -> "begins";
            case "CHANNEL_ANSWER" -> "is answered";
            default -> "ends, " + event.getHeadersOrDefault("Hangup-Cause", "");
        };
        if (event.getName().equals("CHANNEL_HANGUP_COMPLETE")) {
            live.remove(id);
        }
        System.out.println(name + " " + what + " (" + live.size() + " live)");
    }
}
