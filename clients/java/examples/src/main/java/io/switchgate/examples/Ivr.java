package io.switchgate.examples;

import com.google.protobuf.Duration;
import io.switchgate.client.SwitchgateClient;
import io.switchgate.client.SwitchgateException;
import io.switchgate.client.Update;
import io.switchgate.v1.AnswerRequest;
import io.switchgate.v1.CollectDigitsRequest;
import io.switchgate.v1.Event;
import io.switchgate.v1.EventFilter;
import io.switchgate.v1.HangupCause;
import io.switchgate.v1.HeaderMatcher;
import io.switchgate.v1.HeaderSelection;
import io.switchgate.v1.NoHeaders;
import io.switchgate.v1.OriginateExtension;
import io.switchgate.v1.PlaybackRequest;
import io.switchgate.v1.PlaybackWait;
import io.switchgate.v1.SubscribeRequest;
import io.switchgate.v1.TransferRequest;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/**
 * Answers calls that are parked, plays a greeting, collects a digit and transfers the caller by it. Send calls to it by
 * parking them in the dial plan:
 *
 * <pre>{@code
 * <extension name="ivr"><condition field="destination_number" expression="^5000$"><action application="park"/></condition></extension>
 *
 * ./example Ivr --context=default 1=1000 2=1001
 * }</pre>
 */
public final class Ivr {
    /** How long one caller may take for each step. */
    private static final long LONGEST_SECONDS = 60;

    private static final SubscribeRequest PARKED = SubscribeRequest.newBuilder()
            .setFilter(EventFilter.newBuilder()
                    .addEventNames("CHANNEL_PARK")
                    .addHeaders(HeaderMatcher.newBuilder().setName("Call-Direction").setExact("inbound")))
            .setHeaderSelection(HeaderSelection.newBuilder().setNone(NoHeaders.getDefaultInstance()))
            .build();

    private final SwitchgateClient client;
    private final Map<String, String> menu = new HashMap<>();
    private final String context;
    private final String greeting;
    private final String prompt;

    private Ivr(SwitchgateClient client, Example example) {
        this.client = client;
        for (var entry : example.rest()) {
            var parts = entry.split("=", 2);
            menu.put(parts[0], parts[parts.length - 1]);
        }
        context = example.option("context", "default");
        greeting = example.option("greeting", "tone_stream://L=1;%(500,100,440)");
        prompt = example.option("prompt", "tone_stream://L=1;%(3000,0,480)");
    }

    /**
     * Takes the options of all examples, {@code --context} of the dial plan, {@code --greeting} and {@code --prompt} that are
     * played, and the menu: digits with numbers.
     */
    public static void main(String[] arguments) {
        Example.run(arguments, (client, example) -> new Ivr(client, example).serve());
    }

    /** Takes each inbound leg that is parked, on a thread of its own. */
    private void serve() {
        var threads = Executors.newCachedThreadPool();
        Set<String> taken = new HashSet<>();
        try (var subscription = client.subscribe(PARKED)) {
            System.out.println("waiting for calls");
            for (var update : subscription) {
                if (update instanceof Update.Events told) {
                    told.events().stream()
                            .map(Event::getSessionId)
                            // A leg is parked again when it comes back from an application.
                            .filter(taken::add)
                            .forEach(leg -> threads.execute(() -> report(leg)));
                }
            }
        } finally {
            threads.shutdownNow();
        }
    }

    private void report(String leg) {
        try {
            take(leg);
        } catch (RuntimeException e) {
            switch (SwitchgateException.reasonOf(e)) {
                case ERROR_REASON_SESSION_ENDED, ERROR_REASON_SESSION_NOT_FOUND ->
                    System.out.println(leg + " has hung up");
                default -> System.out.println(leg + " " + e.getMessage());
            }
        }
    }

    private void take(String leg) {
        var sessions = client.sessions();
        sessions.withDeadlineAfter(LONGEST_SECONDS, TimeUnit.SECONDS)
                .answer(AnswerRequest.newBuilder().setSessionId(leg).build());
        sessions.withDeadlineAfter(LONGEST_SECONDS, TimeUnit.SECONDS)
                .playback(PlaybackRequest.newBuilder()
                        .setSessionId(leg)
                        .addFiles(greeting)
                        .setWaitFor(PlaybackWait.PLAYBACK_WAIT_COMPLETED)
                        .build());
        var digits = sessions.withDeadlineAfter(LONGEST_SECONDS, TimeUnit.SECONDS)
                .collectDigits(CollectDigitsRequest.newBuilder()
                        .setSessionId(leg)
                        .setMaxDigits(1)
                        .setTries(3)
                        .setPrompt(prompt)
                        .setTimeout(Duration.newBuilder().setSeconds(5))
                        .build())
                .getDigits();
        var number = menu.get(digits);
        if (number == null) {
            System.out.println(leg + " dialled \"" + digits + "\", which leads nowhere");
            client.hangup(leg, HangupCause.HANGUP_CAUSE_NORMAL_CLEARING, java.time.Duration.ofSeconds(5));
            return;
        }
        sessions.withDeadlineAfter(LONGEST_SECONDS, TimeUnit.SECONDS)
                .transfer(TransferRequest.newBuilder()
                        .setSessionId(leg)
                        .setExtension(OriginateExtension.newBuilder().setNumber(number).setContext(context))
                        .build());
        System.out.println(leg + " dialled " + digits + " and goes to " + number);
    }
}
