package io.switchgate.client;

import io.grpc.MethodDescriptor;
import io.grpc.ServiceDescriptor;
import io.switchgate.v1.BridgeRequest;
import io.switchgate.v1.CallServiceGrpc;
import io.switchgate.v1.EventServiceGrpc;
import io.switchgate.v1.JobServiceGrpc;
import io.switchgate.v1.NodeServiceGrpc;
import io.switchgate.v1.OriginateRequest;
import io.switchgate.v1.OriginateStreamRequest;
import io.switchgate.v1.SessionServiceGrpc;
import java.util.List;
import java.util.Set;

/** Knows which RPCs can be sent again. */
final class Rpcs {
    private static final String PACKAGE = "switchgate.v1.";

    /** RPCs that change something, of which a second time changes nothing more, at whichever gateway. */
    private static final Set<String> REPEATABLE = Set.of(
            "SessionService/Answer", "SessionService/PreAnswer", "SessionService/RingReady", "SessionService/Hangup",
            "SessionService/Park", "SessionService/Hold", "SessionService/Unhold", "SessionService/Mute",
            "SessionService/Unmute", "SessionService/SetVariables", "SessionService/UnsetVariables",
            "SessionService/StartRecording", "SessionService/MaskRecording", "SessionService/UnmaskRecording",
            "SessionService/BypassMedia", "SessionService/StartAmd", "SessionService/StopAmd", "CallService/HangupCall",
            "CallService/AppendSession", "NodeService/DrainNode", "NodeService/UndrainNode",
            "NodeService/ReconcileNode");

    private Rpcs() {}

    /** Those that change nothing, as the proto files say: {@code idempotency_level}. */
    static List<MethodDescriptor<?, ?>> reads() {
        return services().stream()
                .flatMap(service -> service.getMethods().stream())
                .filter(MethodDescriptor::isSafe)
                .<MethodDescriptor<?, ?>>map(method -> method)
                .toList();
    }

    /** Whether an RPC that failed so can be sent again. */
    static boolean mayRepeat(MethodDescriptor<?, ?> method, Object request, SwitchgateException why) {
        if (why.retryAfter().isPresent()) {
            return true;
        }
        return why.connectionEnded() && isSafeTwice(method, request);
    }

    private static boolean isSafeTwice(MethodDescriptor<?, ?> method, Object request) {
        if (request instanceof OriginateRequest originate) {
            return !originate.getRequestId().isEmpty();
        }
        if (request instanceof OriginateStreamRequest stream) {
            return !stream.getOriginate().getRequestId().isEmpty();
        }
        if (request instanceof BridgeRequest bridge) {
            // Legs that are bridged with each other stay so; an endpoint would be called twice.
            return !bridge.getPeerSessionId().isEmpty();
        }
        var name = method.getFullMethodName();
        return name.startsWith(PACKAGE) && REPEATABLE.contains(name.substring(PACKAGE.length()));
    }

    private static List<ServiceDescriptor> services() {
        return List.of(
                SessionServiceGrpc.getServiceDescriptor(),
                CallServiceGrpc.getServiceDescriptor(),
                JobServiceGrpc.getServiceDescriptor(),
                EventServiceGrpc.getServiceDescriptor(),
                NodeServiceGrpc.getServiceDescriptor());
    }
}
