package io.switchgate.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status.Code;
import io.grpc.stub.ServerCallStreamObserver;
import io.switchgate.v1.HangupCause;
import io.switchgate.v1.HangupRequest;
import io.switchgate.v1.HangupResponse;
import io.switchgate.v1.OriginateAccepted;
import io.switchgate.v1.OriginateLeg;
import io.switchgate.v1.OriginateRequest;
import io.switchgate.v1.OriginateResponse;
import io.switchgate.v1.OriginateStreamResponse;
import io.switchgate.v1.Session;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class OriginationTest {
    private static final Duration SOON = Duration.ofSeconds(10);
    private static final OriginateRequest REQUEST = OriginateRequest.newBuilder().addEndpoints("user/1000").build();

    private final List<HangupRequest> hungUp = new CopyOnWriteArrayList<>();
    private FakeGateway gateway;
    private SwitchgateClient client;

    @BeforeEach
    void start() throws Exception {
        gateway = new FakeGateway();
        gateway.hangup = (at, request) -> {
            hungUp.add(request);
            return HangupResponse.getDefaultInstance();
        };
        client = gateway.client();
    }

    @AfterEach
    void stop() {
        client.close();
        gateway.close();
    }

    @Test
    void asksForACallAgainUnderItsOwnId() {
        var ids = new CopyOnWriteArrayList<String>();
        gateway.originateStream = (at, request, stream) -> {
            ids.add(request.getOriginate().getRequestId());
            stream.onNext(accepted());
            if (at == 1) {
                throw FakeGateway.unavailable();
            }
            stream.onNext(answered());
            stream.onCompleted();
        };
        var told = new CopyOnWriteArrayList<OriginateStreamResponse>();
        var call = client.originate(REQUEST, SOON, told::add);
        assertEquals("leg", call.join().getSessionId());
        call.released().join();
        assertEquals(List.of(accepted(), accepted(), answered()), told);
        assertEquals(2, ids.size());
        assertFalse(ids.get(0).isEmpty());
        assertEquals(ids.get(0), ids.get(1));
        assertEquals(List.of(), hungUp);
    }

    @Test
    void doesNotRepeatACallThatFails() {
        gateway.originateStream = (at, request, stream) -> {
            throw FakeGateway.failure(Code.ABORTED, "CALL_FAILED", Map.of("hangup_cause", "USER_BUSY"));
        };
        var call = client.originate(REQUEST, SOON);
        var thrown = assertThrows(CompletionException.class, call::join);
        assertEquals(HangupCause.HANGUP_CAUSE_USER_BUSY, SwitchgateException.hangupCauseOf(thrown));
        call.released().join();
        assertEquals(1, gateway.attempts("OriginateStream"));
        assertEquals(List.of(), hungUp);
    }

    @Test
    void hangsUpACallThatIsCancelledWhileItRings() throws Exception {
        var ringing = new CountDownLatch(1);
        var left = new CountDownLatch(1);
        gateway.originateStream = (at, request, stream) -> {
            ((ServerCallStreamObserver<?>) stream).setOnCancelHandler(left::countDown);
            stream.onNext(accepted());
        };
        var call = client.originate(REQUEST, SOON, told -> ringing.countDown());
        ringing.await();
        assertTrue(call.cancel(false));
        assertThrows(CancellationException.class, call::join);
        call.released().join();
        assertTrue(left.await(10, TimeUnit.SECONDS));
        assertEquals(List.of(down()), hungUp);
    }

    @Test
    void hangsUpALegThatIsAnsweredWhenNobodyWaits() throws Exception {
        // It leaves before it knows the leg, and the gateway does not hear of it before the answer.
        var asked = new CountDownLatch(1);
        var cancelled = new CountDownLatch(1);
        gateway.originateStream = (at, request, stream) -> {
            asked.countDown();
            try {
                cancelled.await();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            stream.onNext(accepted());
            stream.onNext(answered());
            stream.onCompleted();
        };
        var call = client.originate(REQUEST, SOON);
        asked.await();
        call.cancel(false);
        cancelled.countDown();
        call.released().join();
        assertEquals(List.of(down()), hungUp);
    }

    @Test
    void hangsUpWhenItsTimeIsOver() {
        gateway.originateStream = (at, request, stream) -> stream.onNext(accepted());
        var call = client.originate(REQUEST, Duration.ofMillis(300));
        var thrown = assertThrows(CompletionException.class, call::join);
        assertEquals(Code.DEADLINE_EXCEEDED, SwitchgateException.of(thrown).orElseThrow().code());
        call.released().join();
        assertEquals(List.of(down()), hungUp);
    }

    @Test
    void endsWhenNobodyWaitsForAPause() throws Exception {
        var refused = new CountDownLatch(1);
        gateway.originateStream = (at, request, stream) -> {
            refused.countDown();
            throw FakeGateway.unavailable();
        };
        var call = client.originate(REQUEST, SOON);
        refused.await();
        call.cancel(false);
        call.released().join();
        assertEquals(List.of(), hungUp);
    }

    @Test
    void hangsUpForAConsumerThatFails() {
        gateway.originateStream = (at, request, stream) -> stream.onNext(accepted());
        var call = client.originate(REQUEST, SOON, told -> {
            throw new IllegalStateException("a bug");
        });
        var thrown = assertThrows(CompletionException.class, call::join);
        assertEquals("a bug", thrown.getCause().getMessage());
        call.released().join();
        assertEquals(List.of(down()), hungUp);
        assertEquals(1, gateway.attempts("OriginateStream"));
    }

    @Test
    void leavesADetachedCallToItself() {
        gateway.originate = (at, request) -> OriginateResponse.newBuilder()
                .setSession(Session.newBuilder().setSessionId("leg"))
                .build();
        var call = client.originate(REQUEST.toBuilder().setDetach(true).build(), SOON);
        assertEquals("leg", call.join().getSessionId());
        call.released().join();
        assertEquals(0, gateway.attempts("OriginateStream"));
        assertEquals(List.of(), hungUp);
    }

    private static OriginateStreamResponse accepted() {
        return OriginateStreamResponse.newBuilder()
                .setAccepted(OriginateAccepted.newBuilder().setJobId("job").addSessionIds("leg"))
                .build();
    }

    private static OriginateStreamResponse answered() {
        return OriginateStreamResponse.newBuilder()
                .setEnded(OriginateLeg.newBuilder()
                        .setSession(Session.newBuilder().setSessionId("leg").setAnswered(true)))
                .build();
    }

    private static HangupRequest down() {
        return HangupRequest.newBuilder()
                .setSessionId("leg")
                .setCause(HangupCause.HANGUP_CAUSE_ORIGINATOR_CANCEL)
                .build();
    }
}
