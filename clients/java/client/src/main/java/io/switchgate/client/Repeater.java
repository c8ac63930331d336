package io.switchgate.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import java.util.concurrent.atomic.AtomicInteger;

/** Sends unary RPCs again where that is safe, beside what the service configuration says of those that change nothing. */
final class Repeater implements ClientInterceptor {
    /** Counts the attempts of an RPC. */
    static final CallOptions.Key<AtomicInteger> ATTEMPTS = CallOptions.Key.create("switchgate.attempts");

    @Override
    public <Q, P> ClientCall<Q, P> interceptCall(MethodDescriptor<Q, P> method, CallOptions options, Channel next) {
        return method.getType() == MethodType.UNARY
                ? new RepeatingCall<>(method, options, next)
                : next.newCall(method, options);
    }
}
