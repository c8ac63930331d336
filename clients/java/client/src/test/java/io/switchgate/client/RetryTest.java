package io.switchgate.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Duration;
import com.google.rpc.RetryInfo;
import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.Status.Code;
import io.grpc.StatusRuntimeException;
import io.switchgate.v1.BridgeRequest;
import io.switchgate.v1.ErrorReason;
import io.switchgate.v1.GetSessionRequest;
import io.switchgate.v1.GetSessionResponse;
import io.switchgate.v1.HangupCause;
import io.switchgate.v1.HangupRequest;
import io.switchgate.v1.HangupResponse;
import io.switchgate.v1.JobServiceGrpc;
import io.switchgate.v1.OriginateRequest;
import io.switchgate.v1.RunJobRequest;
import io.switchgate.v1.SendDtmfRequest;
import io.switchgate.v1.Session;
import io.switchgate.v1.SessionServiceGrpc;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

@Timeout(20)
class RetryTest {
    private static final java.time.Duration SOON = java.time.Duration.ofSeconds(10);
    private static final HangupCause NORMAL = HangupCause.HANGUP_CAUSE_NORMAL_CLEARING;

    private FakeGateway gateway;

    @BeforeEach
    void start() throws Exception {
        gateway = new FakeGateway();
    }

    @AfterEach
    void stop() {
        gateway.close();
    }

    @ParameterizedTest
    @MethodSource
    void sendsAgainWhatIsSafe(MethodDescriptor<?, ?> method, Object request, StatusRuntimeException why, boolean may) {
        assertEquals(may, Rpcs.mayRepeat(method, request, SwitchgateException.from(why)));
    }

    static Stream<Arguments> sendsAgainWhatIsSafe() {
        var originate = SessionServiceGrpc.getOriginateMethod();
        var hangup = SessionServiceGrpc.getHangupMethod();
        var dtmf = SessionServiceGrpc.getSendDtmfMethod();
        var bridge = SessionServiceGrpc.getBridgeMethod();
        var call = OriginateRequest.newBuilder().setRequestId("a").build();
        var nameless = OriginateRequest.getDefaultInstance();
        var peer = BridgeRequest.newBuilder().setPeerSessionId("b").build();
        var endpoint = BridgeRequest.newBuilder().setEndpoint("user/1").build();
        var down = HangupRequest.getDefaultInstance();
        var digits = SendDtmfRequest.getDefaultInstance();
        var job = RunJobRequest.newBuilder().setRequestId("a").build();
        var lost = FakeGateway.unavailable();
        var unknown = FakeGateway.failure(Code.UNAVAILABLE, "OUTCOME_UNKNOWN", Map.of());
        var refused = refused(1);
        return Stream.of(
                Arguments.of(hangup, down, lost, true),
                Arguments.of(hangup, down, unknown, true),
                Arguments.of(hangup, down, Status.CANCELLED.asRuntimeException(), true),
                Arguments.of(hangup, down, FakeGateway.failure(Code.FAILED_PRECONDITION, "SESSION_ENDED", Map.of()), false),
                Arguments.of(hangup, down, FakeGateway.failure(Code.CANCELLED, "CANCELLED", Map.of()), false),
                Arguments.of(originate, call, unknown, true),
                Arguments.of(originate, call, FakeGateway.failure(Code.ABORTED, "CALL_FAILED", Map.of()), false),
                Arguments.of(originate, nameless, lost, false),
                Arguments.of(originate, nameless, refused, true),
                Arguments.of(dtmf, digits, lost, false),
                Arguments.of(dtmf, digits, refused, true),
                Arguments.of(JobServiceGrpc.getRunJobMethod(), job, lost, false),
                Arguments.of(bridge, peer, lost, true),
                Arguments.of(bridge, endpoint, lost, false));
    }

    @Test
    void knowsTheRpcsThatChangeNothing() {
        var names = Rpcs.reads().stream().map(MethodDescriptor::getBareMethodName).toList();
        assertTrue(names.containsAll(List.of("GetSession", "ListNodes", "Subscribe", "WatchCall")), names::toString);
        assertFalse(names.contains("Hangup"), names::toString);
        assertTrue(names.size() >= 15, names::toString);
    }

    @Test
    void repeatsAHangupUntilItIsDone() {
        gateway.hangup = (at, request) -> {
            throw switch (at) {
                case 1 -> FakeGateway.unavailable();
                case 2 -> refused(0);
                default -> FakeGateway.failure(Code.NOT_FOUND, "SESSION_NOT_FOUND", Map.of());
            };
        };
        try (var client = gateway.client(builder -> builder.token("secret"))) {
            assertTrue(client.hangup("a", NORMAL, SOON).isEmpty());
            assertEquals(3, gateway.attempts("Hangup"));
            assertEquals(List.of("Bearer secret", "Bearer secret", "Bearer secret"), gateway.tokens);
            // One that is unknown at once is not down: there is none.
            var e = assertThrows(SwitchgateException.class, () -> client.hangup("a", NORMAL, SOON));
            assertEquals(ErrorReason.ERROR_REASON_SESSION_NOT_FOUND, e.reason());
        }
    }

    @Test
    void takesALegThatHasEndedForHungUp() {
        gateway.hangup = (at, request) -> {
            throw FakeGateway.failure(Code.FAILED_PRECONDITION, "SESSION_ENDED", Map.of());
        };
        gateway.getSession = (at, request) -> GetSessionResponse.newBuilder()
                .setSession(Session.newBuilder().setSessionId(request.getSessionId()))
                .build();
        try (var client = gateway.client()) {
            assertEquals("a", client.hangup("a", NORMAL, SOON).orElseThrow().getSessionId());
            assertEquals(1, gateway.attempts("Hangup"));
        }
    }

    @Test
    void doesNotSendDigitsTwice() {
        gateway.sendDtmf = (at, request) -> {
            throw FakeGateway.unavailable();
        };
        try (var client = gateway.client()) {
            var stub = client.sessions().withDeadlineAfter(10, TimeUnit.SECONDS);
            var e = assertThrows(
                    StatusRuntimeException.class, () -> stub.sendDtmf(SendDtmfRequest.getDefaultInstance()));
            assertEquals(Code.UNAVAILABLE, e.getStatus().getCode());
            assertEquals(1, gateway.attempts("SendDtmf"));
        }
    }

    @Test
    void repeatsReadsByTheServiceConfiguration() {
        gateway.getSession = (at, request) -> {
            if (at < 3) {
                throw FakeGateway.unavailable();
            }
            return GetSessionResponse.getDefaultInstance();
        };
        try (var client = gateway.client()) {
            client.sessions().getSession(GetSessionRequest.getDefaultInstance());
            assertEquals(3, gateway.attempts("GetSession"));
        }
    }

    @Test
    void sendsNothingAgainWithoutRetries() {
        gateway.getSession = (at, request) -> {
            throw FakeGateway.unavailable();
        };
        gateway.hangup = (at, request) -> {
            throw FakeGateway.unavailable();
        };
        try (var client = gateway.client(SwitchgateClientBuilder::withoutRetries)) {
            var stub = client.sessions();
            assertThrows(
                    StatusRuntimeException.class, () -> stub.getSession(GetSessionRequest.getDefaultInstance()));
            assertThrows(StatusRuntimeException.class, () -> stub.hangup(HangupRequest.getDefaultInstance()));
        }
        assertEquals(1, gateway.attempts("GetSession"));
        assertEquals(1, gateway.attempts("Hangup"));
    }

    @Test
    void endsAPauseWithWhoeverWaits() throws Exception {
        var asked = new CountDownLatch(1);
        gateway.hangup = (at, request) -> {
            asked.countDown();
            throw refused(25);
        };
        try (var client = gateway.client();
                var context = Context.current().withCancellation()) {
            var thrown = new CompletableFuture<Code>();
            new Thread(context.wrap(() -> {
                try {
                    client.sessions().hangup(HangupRequest.getDefaultInstance());
                    thrown.complete(Code.OK);
                } catch (StatusRuntimeException e) {
                    thrown.complete(e.getStatus().getCode());
                }
            })).start();
            asked.await();
            context.cancel(null);
            // Well before the pause ends, whether it had begun or not.
            assertEquals(Code.CANCELLED, thrown.get(10, TimeUnit.SECONDS));
            assertEquals(1, gateway.attempts("Hangup"));
        }
    }

    @Test
    void findsNoTimeForALongPause() {
        var pauses = Pauses.within(Deadline.after(1, TimeUnit.SECONDS));
        assertNull(pauses.next(SwitchgateException.from(refused(30))));
        assertNotNull(pauses.next(SwitchgateException.from(refused(0))));
    }

    @Test
    void givesUnaryRpcsTheirDeadline() {
        gateway.hangup = (at, request) -> HangupResponse.getDefaultInstance();
        try (var client = gateway.client(builder -> builder.deadline(SOON))) {
            client.sessions().hangup(HangupRequest.getDefaultInstance());
            client.sessions().withDeadlineAfter(60, TimeUnit.SECONDS).hangup(HangupRequest.getDefaultInstance());
        }
        assertTrue(gateway.deadlines.get(0) > 0 && gateway.deadlines.get(0) <= 10_000, gateway.deadlines::toString);
        assertTrue(gateway.deadlines.get(1) > 10_000, gateway.deadlines::toString);
    }

    private static StatusRuntimeException refused(int seconds) {
        var retry = RetryInfo.newBuilder().setRetryDelay(Duration.newBuilder().setSeconds(seconds)).build();
        return FakeGateway.failure(Code.UNAVAILABLE, "NODE_UNAVAILABLE", Map.of(), retry);
    }
}
