package io.switchgate.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Duration;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import com.google.rpc.Status;
import io.grpc.Status.Code;
import io.grpc.protobuf.StatusProto;
import io.switchgate.v1.ErrorReason;
import io.switchgate.v1.HangupCause;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletionException;
import org.junit.jupiter.api.Test;

class SwitchgateExceptionTest {
    @Test
    void tellsWhyACallFailed() {
        var facts = Map.of(
                "hangup_cause", "USER_BUSY", "q850", "17", "sip_code", "486", "session_id", "s", "job_id", "j",
                "node_id", "n", "freeswitch_reply", "-ERR USER_BUSY");
        var told = FakeGateway.failure(Code.ABORTED, "CALL_FAILED", facts);
        var e = SwitchgateException.of(new CompletionException(told)).orElseThrow();
        assertEquals(Code.ABORTED, e.code());
        assertEquals(ErrorReason.ERROR_REASON_CALL_FAILED, e.reason());
        assertEquals(HangupCause.HANGUP_CAUSE_USER_BUSY, e.hangupCause());
        assertEquals(List.of(17, 486), List.of(e.q850(), e.sipCode()));
        assertEquals(
                List.of("s", "j", "n", "-ERR USER_BUSY"),
                List.of(e.sessionId(), e.jobId(), e.nodeId(), e.freeSwitchReply()));
        assertEquals(facts, e.metadata());
        assertEquals("ABORTED: told", e.getMessage());
        assertTrue(e.retryAfter().isEmpty());
        assertFalse(e.commandSent());
        assertSame(told, e.getCause());
        assertEquals(HangupCause.HANGUP_CAUSE_USER_BUSY, SwitchgateException.hangupCauseOf(told));
        assertEquals(ErrorReason.ERROR_REASON_CALL_FAILED, SwitchgateException.reasonOf(told));
        assertSame(e, SwitchgateException.of(new RuntimeException(e)).orElseThrow());
    }

    @Test
    void tellsFieldsAndRetries() {
        var field = BadRequest.FieldViolation.newBuilder().setField("session_id").setDescription("is missing");
        var bad = BadRequest.newBuilder().addFieldViolations(field).build();
        var e = SwitchgateException.from(FakeGateway.failure(Code.INVALID_ARGUMENT, "INVALID_ARGUMENT", Map.of(), bad));
        assertEquals(List.of(new Violation("session_id", "is missing")), e.violations());

        var retry = RetryInfo.newBuilder().setRetryDelay(Duration.newBuilder().setSeconds(2)).build();
        e = SwitchgateException.from(FakeGateway.failure(Code.UNAVAILABLE, "NODE_UNAVAILABLE", Map.of(), retry));
        assertEquals(java.time.Duration.ofSeconds(2), e.retryAfter().orElseThrow());
    }

    @Test
    void saysWhetherFreeSwitchMayStillAct() {
        var unknown = FakeGateway.failure(Code.UNAVAILABLE, "OUTCOME_UNKNOWN", Map.of());
        assertTrue(SwitchgateException.from(unknown).commandSent());
        var sent = FakeGateway.failure(Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", Map.of("command_sent", "true"));
        assertTrue(SwitchgateException.from(sent).commandSent());
    }

    @Test
    void keepsTheNameOfAReasonThatIsNotKnownHere() {
        var e = SwitchgateException.from(FakeGateway.failure(Code.UNAVAILABLE, "OF_A_LATER_VERSION", Map.of()));
        assertEquals("OF_A_LATER_VERSION", e.reasonName());
        assertEquals(ErrorReason.ERROR_REASON_UNSPECIFIED, e.reason());
    }

    @Test
    void doesNotTakeTheReasonOfAnotherDomain() {
        var other = ErrorInfo.newBuilder().setDomain("proxy.example.net").setReason("CALL_FAILED").build();
        var status = Status.newBuilder().setCode(14).addDetails(com.google.protobuf.Any.pack(other)).build();
        var e = SwitchgateException.from(StatusProto.toStatusRuntimeException(status));
        assertEquals("", e.reasonName());
        assertEquals(Code.UNAVAILABLE, e.code());
    }

    @Test
    void isNotWhatIsNoStatus() {
        assertTrue(SwitchgateException.of(null).isEmpty());
        assertTrue(SwitchgateException.of(new IOException("no")).isEmpty());
        assertEquals(ErrorReason.ERROR_REASON_UNSPECIFIED, SwitchgateException.reasonOf(new IOException("no")));
        assertEquals(HangupCause.HANGUP_CAUSE_UNSPECIFIED, SwitchgateException.hangupCauseOf(null));
    }

    @Test
    void isThrownForThatOfTheStub() {
        assertEquals("fine", SwitchgateException.call(() -> "fine"));
        var e = assertThrows(SwitchgateException.class, () -> SwitchgateException.call(() -> {
            throw FakeGateway.failure(Code.NOT_FOUND, "SESSION_NOT_FOUND", Map.of());
        }));
        assertEquals(ErrorReason.ERROR_REASON_SESSION_NOT_FOUND, e.reason());
    }
}
