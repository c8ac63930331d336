package io.switchgate.client;

import io.grpc.CallCredentials;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.util.concurrent.Callable;
import java.util.concurrent.Executor;

/** Sends a token as the header {@code authorization}. */
final class BearerToken extends CallCredentials {
    private static final Metadata.Key<String> AUTHORIZATION =
            Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

    private final Callable<String> source;

    BearerToken(Callable<String> source) {
        this.source = source;
    }

    @Override
    public void applyRequestMetadata(RequestInfo info, Executor executor, MetadataApplier applier) {
        // Where a file is read, it is not on a thread of the network.
        executor.execute(() -> {
            try {
                var headers = new Metadata();
                headers.put(AUTHORIZATION, "Bearer " + source.call());
                applier.apply(headers);
            } catch (Exception e) {
                applier.fail(Status.UNAUTHENTICATED
                        .withDescription("the token cannot be had: " + e)
                        .withCause(e));
            }
        });
    }

    /** Gives RPCs these credentials that have none of their own. */
    static ClientInterceptor interceptor(CallCredentials credentials) {
        return new ClientInterceptor() {
            @Override
            public <Q, P> ClientCall<Q, P> interceptCall(
                    MethodDescriptor<Q, P> method, CallOptions options, Channel next) {
                var own = options.getCredentials() != null;
                return next.newCall(method, own ? options : options.withCallCredentials(credentials));
            }
        };
    }
}
