package io.switchgate.client;

import com.google.protobuf.Any;
import com.google.protobuf.Message;
import com.google.rpc.ErrorInfo;
import com.google.rpc.Status;
import io.grpc.Context;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status.Code;
import io.grpc.StatusRuntimeException;
import io.grpc.inprocess.InProcessChannelBuilder;
import io.grpc.inprocess.InProcessServerBuilder;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.StreamObserver;
import io.switchgate.v1.EventServiceGrpc;
import io.switchgate.v1.GetSessionRequest;
import io.switchgate.v1.GetSessionResponse;
import io.switchgate.v1.HangupRequest;
import io.switchgate.v1.HangupResponse;
import io.switchgate.v1.OriginateRequest;
import io.switchgate.v1.OriginateResponse;
import io.switchgate.v1.OriginateStreamRequest;
import io.switchgate.v1.OriginateStreamResponse;
import io.switchgate.v1.SendDtmfRequest;
import io.switchgate.v1.SendDtmfResponse;
import io.switchgate.v1.SessionServiceGrpc;
import io.switchgate.v1.SubscribeRequest;
import io.switchgate.v1.SubscribeResponse;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;

/** A gateway that answers as a test says. Each answer is given the number of the attempt, from 1. */
final class FakeGateway implements AutoCloseable {
    /** Answers a request of a unary RPC, or throws. */
    interface Unary<Q, P> {
        P answer(int attempt, Q request);
    }

    /** Answers a request by a stream, which stays open unless it ends or throws. */
    interface Streaming<Q, P> {
        void answer(int attempt, Q request, StreamObserver<P> stream);
    }

    Unary<HangupRequest, HangupResponse> hangup = (at, request) -> HangupResponse.getDefaultInstance();
    Unary<GetSessionRequest, GetSessionResponse> getSession = (at, request) -> GetSessionResponse.getDefaultInstance();
    Unary<SendDtmfRequest, SendDtmfResponse> sendDtmf = (at, request) -> SendDtmfResponse.getDefaultInstance();
    Unary<OriginateRequest, OriginateResponse> originate = (at, request) -> OriginateResponse.getDefaultInstance();
    Streaming<OriginateStreamRequest, OriginateStreamResponse> originateStream = (at, request, stream) -> {};
    Streaming<SubscribeRequest, SubscribeResponse> subscribe = (at, request, stream) -> {};

    /** What came as {@code authorization}, an empty text for nothing. */
    final List<String> tokens = new CopyOnWriteArrayList<>();

    /** What deadline the RPCs had, in milliseconds; -1 for none. */
    final List<Long> deadlines = new CopyOnWriteArrayList<>();

    private final Map<String, Integer> attempts = new ConcurrentHashMap<>();
    private final String name = UUID.randomUUID().toString();
    private final Server server;

    FakeGateway() throws IOException {
        server = InProcessServerBuilder.forName(name)
                .addService(new Sessions())
                .addService(new Events())
                .intercept(new Noting())
                .build()
                .start();
    }

    /** A client that is made as the builder makes it. */
    SwitchgateClient client(UnaryOperator<SwitchgateClientBuilder> change) {
        return change.apply(SwitchgateClient.builder("fake").plaintext()).build(InProcessChannelBuilder.forName(name));
    }

    SwitchgateClient client() {
        return client(builder -> builder);
    }

    int attempts(String method) {
        return attempts.getOrDefault(method, 0);
    }

    @Override
    public void close() {
        server.shutdownNow();
    }

    /** A status as the gateway makes it. */
    static StatusRuntimeException failure(Code code, String reason, Map<String, String> facts, Message... more) {
        var info = ErrorInfo.newBuilder().setReason(reason).setDomain("switchgate").putAllMetadata(facts);
        var status = Status.newBuilder().setCode(code.value()).setMessage("told").addDetails(Any.pack(info.build()));
        for (var detail : more) {
            status.addDetails(Any.pack(detail));
        }
        return StatusProto.toStatusRuntimeException(status.build());
    }

    /** A status of a connection that was lost. */
    static StatusRuntimeException unavailable() {
        return io.grpc.Status.UNAVAILABLE.withDescription("connection closed").asRuntimeException();
    }

    private int count(String method) {
        return attempts.merge(method, 1, Integer::sum);
    }

    private <Q, P> void unary(String method, Unary<Q, P> how, Q request, StreamObserver<P> to) {
        try {
            to.onNext(how.answer(count(method), request));
            to.onCompleted();
        } catch (StatusRuntimeException e) {
            to.onError(e);
        }
    }

    private <Q, P> void stream(String method, Streaming<Q, P> how, Q request, StreamObserver<P> to) {
        try {
            how.answer(count(method), request, to);
        } catch (StatusRuntimeException e) {
            to.onError(e);
        }
    }

    private final class Sessions extends SessionServiceGrpc.SessionServiceImplBase {
        @Override
        public void hangup(HangupRequest request, StreamObserver<HangupResponse> to) {
            unary("Hangup", hangup, request, to);
        }

        @Override
        public void getSession(GetSessionRequest request, StreamObserver<GetSessionResponse> to) {
            unary("GetSession", getSession, request, to);
        }

        @Override
        public void sendDtmf(SendDtmfRequest request, StreamObserver<SendDtmfResponse> to) {
            unary("SendDtmf", sendDtmf, request, to);
        }

        @Override
        public void originate(OriginateRequest request, StreamObserver<OriginateResponse> to) {
            unary("Originate", originate, request, to);
        }

        @Override
        public void originateStream(OriginateStreamRequest request, StreamObserver<OriginateStreamResponse> to) {
            stream("OriginateStream", originateStream, request, to);
        }
    }

    private final class Events extends EventServiceGrpc.EventServiceImplBase {
        @Override
        public void subscribe(SubscribeRequest request, StreamObserver<SubscribeResponse> to) {
            stream("Subscribe", subscribe, request, to);
        }
    }

    private final class Noting implements ServerInterceptor {
        @Override
        public <Q, P> ServerCall.Listener<Q> interceptCall(
                ServerCall<Q, P> call, Metadata headers, ServerCallHandler<Q, P> next) {
            var token = headers.get(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER));
            tokens.add(token == null ? "" : token);
            var deadline = Context.current().getDeadline();
            deadlines.add(deadline == null ? -1 : deadline.timeRemaining(TimeUnit.MILLISECONDS));
            return next.startCall(call, headers);
        }
    }
}
