package io.switchgate.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import java.time.Duration;
import java.util.concurrent.TimeUnit;

/** Gives unary RPCs a deadline that have none. */
record DefaultDeadline(Duration unary) implements ClientInterceptor {
    @Override
    public <Q, P> ClientCall<Q, P> interceptCall(MethodDescriptor<Q, P> method, CallOptions options, Channel next) {
        var missing = method.getType() == MethodType.UNARY && options.getDeadline() == null;
        return next.newCall(
                method, missing ? options.withDeadlineAfter(unary.toNanos(), TimeUnit.NANOSECONDS) : options);
    }
}
