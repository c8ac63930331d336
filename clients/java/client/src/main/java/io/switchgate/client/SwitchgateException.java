package io.switchgate.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.switchgate.v1.ErrorReason;
import io.switchgate.v1.HangupCause;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * The status of an RPC with what Switchgate tells beside the code. Its cause is the exception of the stub.
 *
 * <p>Generated stubs throw {@link StatusRuntimeException}: {@link #of} finds what is in it, {@link #call} throws this
 * exception instead. The methods of {@link SwitchgateClient} throw it by themselves.
 */
public final class SwitchgateException extends RuntimeException {
    /** That of Switchgate's ErrorInfo; others, as of a proxy, are not looked at. */
    private static final String DOMAIN = "switchgate";

    private static final List<Class<? extends Message>> DETAILS =
            List.of(ErrorInfo.class, RetryInfo.class, BadRequest.class);

    private static final long serialVersionUID = 1;

    private final transient Status status;
    private final ErrorReason reason;
    private final String reasonName;
    private final Map<String, String> metadata;
    private final Duration retryAfter;
    private final transient List<Violation> violations;

    private SwitchgateException(Throwable cause, Status status, Metadata trailers) {
        super(text(status), cause);
        this.status = status;
        var name = "";
        Map<String, String> facts = Map.of();
        Duration retry = null;
        var fields = new ArrayList<Violation>();
        for (var detail : details(status, trailers)) {
            var unpacked = unpack(detail);
            if (unpacked instanceof ErrorInfo info && info.getDomain().equals(DOMAIN)) {
                name = info.getReason();
                facts = Map.copyOf(info.getMetadataMap());
            } else if (unpacked instanceof RetryInfo info) {
                var delay = info.getRetryDelay();
                retry = Duration.ofSeconds(delay.getSeconds(), delay.getNanos());
            } else if (unpacked instanceof BadRequest bad) {
                bad.getFieldViolationsList()
                        .forEach(field -> fields.add(new Violation(field.getField(), field.getDescription())));
            }
        }
        reasonName = name;
        metadata = facts;
        retryAfter = retry;
        violations = List.copyOf(fields);
        reason = named(ErrorReason.class, "ERROR_REASON_" + name, ErrorReason.ERROR_REASON_UNSPECIFIED);
    }

    /**
     * Finds the status in an exception or in what caused it, as of a future. Empty for null and for what is none of
     * gRPC.
     */
    public static Optional<SwitchgateException> of(Throwable thrown) {
        for (var at = thrown; at != null; at = at.getCause()) {
            if (at instanceof SwitchgateException own) {
                return Optional.of(own);
            }
            if (at instanceof StatusRuntimeException told) {
                return Optional.of(new SwitchgateException(told, told.getStatus(), told.getTrailers()));
            }
            if (at instanceof StatusException told) {
                return Optional.of(new SwitchgateException(told, told.getStatus(), told.getTrailers()));
            }
        }
        return Optional.empty();
    }

    /** Calls a stub, and throws this exception where it throws that of gRPC. */
    public static <T> T call(Supplier<T> stub) {
        try {
            return stub.get();
        } catch (StatusRuntimeException e) {
            throw from(e);
        }
    }

    /** The reason of an exception, unspecified when there is none. */
    public static ErrorReason reasonOf(Throwable thrown) {
        return of(thrown).map(SwitchgateException::reason).orElse(ErrorReason.ERROR_REASON_UNSPECIFIED);
    }

    /** Why a call failed, unspecified when the exception is not of a call. */
    public static HangupCause hangupCauseOf(Throwable thrown) {
        return of(thrown).map(SwitchgateException::hangupCause).orElse(HangupCause.HANGUP_CAUSE_UNSPECIFIED);
    }

    /** What is thrown for any failure of a stub. */
    static SwitchgateException from(Throwable thrown) {
        return of(thrown).orElseGet(() -> new SwitchgateException(thrown, Status.fromThrowable(thrown), null));
    }

    /** gRPC's code. */
    public Status.Code code() {
        return status().getCode();
    }

    /** gRPC's status. */
    public Status status() {
        // Absent behind Java's serialization, which the cause survives.
        return status == null ? Status.fromThrowable(getCause()) : status;
    }

    /**
     * The reason. Unspecified when the error is not the gateway's, but the connection's or a proxy's, and when the gateway
     * is newer and its reason not known here: see {@link #reasonName}.
     */
    public ErrorReason reason() {
        return reason;
    }

    /** The reason as it was sent, such as {@code CALL_FAILED}; empty for none. */
    public String reasonName() {
        return reasonName;
    }

    /** All facts by their names. */
    public Map<String, String> metadata() {
        return metadata;
    }

    /** When a repeat is safe; empty where the gateway does not say that it is. */
    public Optional<Duration> retryAfter() {
        return Optional.ofNullable(retryAfter);
    }

    /** Which fields of the request are wrong. */
    public List<Violation> violations() {
        return violations == null ? List.of() : violations;
    }

    /**
     * The hangup cause of a call that failed (CALL_FAILED, ENDPOINT_UNUSABLE) or has ended (SESSION_ENDED); unspecified
     * where there is none.
     */
    public HangupCause hangupCause() {
        var name = "HANGUP_CAUSE_" + fact("hangup_cause");
        return named(HangupCause.class, name, HangupCause.HANGUP_CAUSE_UNSPECIFIED);
    }

    /** The Q.850 code of the cause, 0 where there is none. */
    public int q850() {
        return number("q850");
    }

    /** The SIP status with which the call ended, 0 where there is none. */
    public int sipCode() {
        return number("sip_code");
    }

    /** The session that the error is about, empty for none. */
    public String sessionId() {
        return fact("session_id");
    }

    /** The job that the error is about, empty for none. */
    public String jobId() {
        return fact("job_id");
    }

    /** The node that the error is about, empty for none. */
    public String nodeId() {
        return fact("node_id");
    }

    /** What FreeSWITCH said, to the letter; empty when it was not asked. */
    public String freeSwitchReply() {
        return fact("freeswitch_reply");
    }

    /** Whether FreeSWITCH may still act though the RPC has failed. */
    public boolean commandSent() {
        return fact("command_sent").equals("true") || reason == ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN;
    }

    /** Whether the status is one of a connection or gateway that went away. */
    boolean connectionEnded() {
        return switch (code()) {
            case UNAVAILABLE -> true;
            // Of a proxy or of the connection; the gateway's own have a reason.
            case CANCELLED, INTERNAL, UNKNOWN -> reasonName.isEmpty();
            default -> false;
        };
    }

    private String fact(String name) {
        return metadata.getOrDefault(name, "");
    }

    private int number(String name) {
        try {
            return Integer.parseInt(fact(name));
        } catch (NumberFormatException e) {
            return 0;
        }
    }

    private static String text(Status status) {
        var said = status.getDescription();
        return said == null ? status.getCode().name() : status.getCode() + ": " + said;
    }

    private static List<Any> details(Status status, Metadata trailers) {
        return trailers == null
                ? List.of()
                : StatusProto.fromStatusAndTrailers(status, trailers).getDetailsList();
    }

    /** Null for what is not known here. */
    private static Message unpack(Any detail) {
        try {
            for (var type : DETAILS) {
                if (detail.is(type)) {
                    return detail.unpack(type);
                }
            }
        } catch (InvalidProtocolBufferException e) {
            // A detail that cannot be read tells nothing; the code is there all the same.
        }
        return null;
    }

    private static <E extends Enum<E>> E named(Class<E> type, String name, E otherwise) {
        try {
            return Enum.valueOf(type, name);
        } catch (IllegalArgumentException e) {
            return otherwise;
        }
    }
}
