package io.switchgate.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.protobuf.Timestamp;
import io.grpc.Status.Code;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.StreamObserver;
import io.switchgate.v1.Checkpoint;
import io.switchgate.v1.ErrorReason;
import io.switchgate.v1.Event;
import io.switchgate.v1.EventBatch;
import io.switchgate.v1.Gap;
import io.switchgate.v1.GapReason;
import io.switchgate.v1.Session;
import io.switchgate.v1.Snapshot;
import io.switchgate.v1.SnapshotEnd;
import io.switchgate.v1.StartSnapshot;
import io.switchgate.v1.SubscribeRequest;
import io.switchgate.v1.SubscribeResponse;
import io.switchgate.v1.SubscribeStart;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class EventSubscriptionTest {
    private static final SubscribeRequest ALL = SubscribeRequest.getDefaultInstance();

    private FakeGateway gateway;
    private SwitchgateClient client;

    @BeforeEach
    void start() throws Exception {
        gateway = new FakeGateway();
        client = gateway.client();
    }

    @AfterEach
    void stop() {
        client.close();
        gateway.close();
    }

    @Test
    void goesOnBehindItsLastCursor() {
        var starts = new CopyOnWriteArrayList<String>();
        gateway.subscribe = (at, request, stream) -> {
            starts.add(request.getStart().getCursor());
            switch (at) {
                case 1 -> {
                    send(stream, checkpoint("c0"), batch("c1", event(1)));
                    throw FakeGateway.failure(Code.UNAVAILABLE, "SHUTTING_DOWN", Map.of("cursor", "c1"));
                }
                case 2 -> {
                    // Only the cursor has moved, then the connection is lost.
                    send(stream, checkpoint("c5"));
                    throw FakeGateway.unavailable();
                }
                case 3 -> throw FakeGateway.failure(Code.RESOURCE_EXHAUSTED, "SLOW_CONSUMER", Map.of("cursor", "c5"));
                // A proxy ends it in good order.
                case 4 -> stream.onCompleted();
                default -> send(stream, gap("c5"), batch("c6", event(6)));
            }
        };
        var why = new ArrayList<String>();
        try (var subscription = client.subscribe(ALL).onReconnect(e -> why.add(e.reasonName()))) {
            assertEquals(List.of("CUSTOM 1", "gap GAP_REASON_LINK_LOST", "CUSTOM 6"), collect(subscription, 3));
            assertEquals("c6", subscription.cursor());
        }
        assertEquals(List.of("", "c1", "c5", "c5", "c5"), starts);
        assertEquals(List.of("SHUTTING_DOWN", "", "SLOW_CONSUMER", ""), why);
    }

    @Test
    void tellsNothingTwiceAndMissesNothingAtAnotherGateway() {
        var before = event(0).toBuilder().setTime(in(-60)).build();
        var hangup = event(7).toBuilder().setName("CHANNEL_HANGUP").setSessionId("leg").build();
        var concluded = hangup.toBuilder().setSequence(0).setSynthetic(true).build();
        var other = concluded.toBuilder().setSessionId("other").build();
        gateway.subscribe = (at, request, stream) -> {
            switch (at) {
                case 1 -> {
                    send(stream, batch("a2", event(1), event(2), hangup));
                    throw FakeGateway.unavailable();
                }
                case 2 -> throw request.getStart().getCursor().equals("a2") ? lost() : misplaced();
                default -> {
                    if (!request.getStart().hasEarliest()) {
                        throw misplaced();
                    }
                    send(stream, batch("b2", before, event(1), event(2)), batch("b5", concluded, other, event(3)));
                }
            }
        };
        try (var subscription = client.subscribe(ALL)) {
            assertEquals(
                    List.of("CUSTOM 1", "CUSTOM 2", "CHANNEL_HANGUP 7", "moved from a2", "CHANNEL_HANGUP 0", "CUSTOM 3"),
                    collect(subscription, 3));
        }
    }

    @Test
    void beginsASnapshotAnewThatWasCut() {
        gateway.subscribe = (at, request, stream) -> {
            var snapshot = request.getStart().hasSnapshot();
            if (at == 1 && snapshot) {
                send(stream, part("a"));
                throw FakeGateway.unavailable();
            } else if (at == 2 && snapshot) {
                send(stream, part("a"), whole(), batch("c1", event(1)));
                throw FakeGateway.unavailable();
            } else if (at == 3 && request.getStart().getCursor().equals("c1")) {
                throw lost();
            } else if (at == 4 && snapshot) {
                send(stream, part("b"), whole());
            } else {
                throw misplaced();
            }
        };
        var start = SubscribeStart.newBuilder().setSnapshot(StartSnapshot.getDefaultInstance());
        try (var subscription = client.subscribe(ALL.toBuilder().setStart(start).build())) {
            assertEquals(
                    List.of("snapshot a", "snapshot a", "snapshot end", "CUSTOM 1", "moved from c1", "snapshot b",
                            "snapshot end"),
                    collect(subscription, 7));
        }
    }

    @Test
    void endsWhenItIsRefused() {
        gateway.subscribe = (at, request, stream) -> {
            throw FakeGateway.failure(Code.PERMISSION_DENIED, "PERMISSION_DENIED", Map.of());
        };
        try (var subscription = client.subscribe(ALL)) {
            var e = assertThrows(SwitchgateException.class, () -> subscription.iterator().next());
            assertEquals(ErrorReason.ERROR_REASON_PERMISSION_DENIED, e.reason());
        }
        assertEquals(1, gateway.attempts("Subscribe"));
    }

    @Test
    void endsWhenAnotherThreadClosesIt() throws Exception {
        var begun = new CountDownLatch(1);
        gateway.subscribe = (at, request, stream) -> begun.countDown();
        var subscription = client.subscribe(ALL);
        var more = CompletableFuture.supplyAsync(() -> subscription.iterator().hasNext());
        begun.await();
        subscription.close();
        assertFalse(more.get(10, TimeUnit.SECONDS));
    }

    @Test
    void forgetsTheOldestEventsAndDoesNotTellThemAgain() {
        var heard = new Heard();
        heard.begin();
        var all = new ArrayList<Event>();
        for (var at = 0; at < Heard.REMEMBERED + 5; at++) {
            all.add(event(at).toBuilder().setTime(in(at)).build());
        }
        assertEquals(all.size(), heard.fresh(all, false).size());
        assertEquals(List.of(), heard.fresh(all, true));
        assertEquals(Heard.REMEMBERED, heard.size());
    }

    /** Notes what is told until so many updates have come. */
    private static List<String> collect(EventSubscription subscription, int updates) {
        var told = new ArrayList<String>();
        var left = updates;
        for (var update : subscription) {
            if (update instanceof Update.Events events) {
                events.events().forEach(event -> told.add(event.getName() + " " + event.getSequence()));
            } else if (update instanceof Update.Missing missing) {
                told.add("gap " + missing.gap().getReason());
            } else if (update instanceof Update.Moved moved) {
                told.add("moved from " + moved.cursor());
            } else if (update instanceof Update.SnapshotPart part) {
                told.add("snapshot " + part.snapshot().getSessions(0).getSessionId());
            } else if (update instanceof Update.SnapshotWhole) {
                told.add("snapshot end");
            }
            if (--left == 0) {
                break;
            }
        }
        return told;
    }

    private static Timestamp in(int seconds) {
        var at = Instant.now().plusSeconds(seconds);
        return Timestamp.newBuilder().setSeconds(at.getEpochSecond()).setNanos(at.getNano()).build();
    }

    /** An event of a FreeSWITCH that fires them all at this moment. */
    private static Event event(long sequence) {
        return Event.newBuilder()
                .setCoreUuid("core")
                .setSequence(sequence)
                .setName("CUSTOM")
                .setTime(in(0))
                .setCursor("c" + sequence)
                .build();
    }

    private static SubscribeResponse batch(String cursor, Event... events) {
        var batch = EventBatch.newBuilder().addAllEvents(List.of(events));
        return SubscribeResponse.newBuilder().setCursor(cursor).setEvents(batch).build();
    }

    private static SubscribeResponse checkpoint(String cursor) {
        return SubscribeResponse.newBuilder()
                .setCursor(cursor)
                .setCheckpoint(Checkpoint.getDefaultInstance())
                .build();
    }

    private static SubscribeResponse gap(String cursor) {
        var gap = Gap.newBuilder().setReason(GapReason.GAP_REASON_LINK_LOST);
        return SubscribeResponse.newBuilder().setCursor(cursor).setGap(gap).build();
    }

    private static SubscribeResponse part(String session) {
        var snapshot = Snapshot.newBuilder().addSessions(Session.newBuilder().setSessionId(session));
        return SubscribeResponse.newBuilder().setCursor("c0").setSnapshot(snapshot).build();
    }

    private static SubscribeResponse whole() {
        return SubscribeResponse.newBuilder()
                .setCursor("c0")
                .setSnapshotEnd(SnapshotEnd.getDefaultInstance())
                .build();
    }

    private static StatusRuntimeException lost() {
        return FakeGateway.failure(Code.OUT_OF_RANGE, "CURSOR_LOST", Map.of("why", "other_epoch"));
    }

    private static StatusRuntimeException misplaced() {
        return FakeGateway.failure(Code.INVALID_ARGUMENT, "INVALID_ARGUMENT", Map.of());
    }

    private static void send(StreamObserver<SubscribeResponse> stream, SubscribeResponse... all) {
        for (var each : all) {
            stream.onNext(each);
        }
    }
}
