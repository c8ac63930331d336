package io.switchgate.examples;

import com.google.protobuf.util.JsonFormat;
import io.switchgate.client.SwitchgateClient;
import io.switchgate.client.Update;
import io.switchgate.v1.EventFilter;
import io.switchgate.v1.SubscribeRequest;
import io.switchgate.v1.SubscribeStart;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;

/**
 * Writes events as lines of JSON. With {@code --state} it keeps its cursor in a file, and goes on there when it is started
 * again.
 *
 * <pre>./example EventLogger --state=cursor CHANNEL_ANSWER CHANNEL_HANGUP_COMPLETE</pre>
 */
public final class EventLogger {
    private static final JsonFormat.Printer JSON = JsonFormat.printer().omittingInsignificantWhitespace();

    private EventLogger() {}

    /** Takes the options of all examples, {@code --state}, and the names of events; all events without. */
    public static void main(String[] arguments) {
        Example.run(arguments, (client, example) -> write(client, example.rest(), example.option("state", "")));
    }

    private static void write(SwitchgateClient client, List<String> names, String state) throws IOException {
        var request = SubscribeRequest.newBuilder().setFilter(EventFilter.newBuilder().addAllEventNames(names));
        var cursor = load(state);
        if (!cursor.isEmpty()) {
            request.setStart(SubscribeStart.newBuilder().setCursor(cursor));
        }
        try (var subscription = client.subscribe(request.build())
                .onReconnect(why -> System.err.println("reconnecting: " + why.getMessage()))) {
            for (var update : subscription) {
                if (update instanceof Update.Missing missing) {
                    System.err.println("events are missing: " + missing.gap().getReason());
                } else if (update instanceof Update.Moved moved) {
                    System.err.println("the journal is another one: " + moved.reason().getMessage());
                } else if (update instanceof Update.Events told) {
                    for (var event : told.events()) {
                        System.out.println(JSON.print(event));
                    }
                }
                // Behind the events: one that is written twice is better than one that is not.
                if (!state.isEmpty()) {
                    Files.writeString(Path.of(state), update.cursor() + "\n");
                }
            }
        }
    }

    private static String load(String state) throws IOException {
        try {
            return state.isEmpty() ? "" : Files.readString(Path.of(state)).strip();
        } catch (NoSuchFileException e) {
            return "";
        }
    }
}
