package io.switchgate.conformance;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.MethodDescriptor.PrototypeMarshaller;
import io.grpc.ServiceDescriptor;
import io.grpc.Status;
import io.switchgate.client.SwitchgateException;
import io.switchgate.v1.CallServiceGrpc;
import io.switchgate.v1.EventServiceGrpc;
import io.switchgate.v1.JobServiceGrpc;
import io.switchgate.v1.NodeServiceGrpc;
import io.switchgate.v1.SessionServiceGrpc;
import java.time.Duration;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** An RPC under way. What it tells is read in the background. */
final class Rpc {
    /** Keys of items that come at any time. */
    static final Set<String> PASSED_OVER = Set.of("checkpoint", "nodeState");

    private static final Metadata.Key<String> AUTHORIZATION =
            Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

    /** The items of a stream; the last one is empty, and then the outcome is there. */
    private final BlockingQueue<Optional<JsonObject>> items = new LinkedBlockingQueue<>();

    private final ClientCall<Message, Message> call;
    private volatile JsonObject outcome;
    private boolean left;

    private Rpc(ClientCall<Message, Message> call) {
        this.call = call;
    }

    /** Begins an RPC. The deadline is null for none, the token for none too. */
    static Rpc begin(Channel channel, String name, String token, JsonElement request, Duration deadline)
            throws Mismatch {
        var method = method(name);
        var options = deadline == null
                ? CallOptions.DEFAULT
                : CallOptions.DEFAULT.withDeadlineAfter(deadline.toNanos(), TimeUnit.NANOSECONDS);
        var prototype = ((PrototypeMarshaller<Message>) method.getRequestMarshaller()).getMessagePrototype();
        var message = prototype.newBuilderForType();
        try {
            JsonFormat.parser().merge(request.toString(), message);
        } catch (InvalidProtocolBufferException e) {
            throw new Mismatch(name + ": " + e.getMessage());
        }
        var headers = new Metadata();
        if (token != null) {
            headers.put(AUTHORIZATION, "Bearer " + token);
        }
        var rpc = new Rpc(channel.newCall(method, options));
        rpc.call.start(rpc.new Listener(method.getType() == MethodType.UNARY), headers);
        rpc.call.sendMessage(message.build());
        rpc.call.halfClose();
        rpc.call.request(2);
        return rpc;
    }

    /** Cancels the RPC. */
    void leave() {
        left = true;
        call.cancel("the runner leaves", null);
    }

    /** Takes an item; empty when the stream has ended, and null when none came in time. */
    Optional<JsonObject> take(Duration timeout) {
        try {
            var item = items.poll(timeout.toNanos(), TimeUnit.NANOSECONDS);
            if (item != null && item.isEmpty()) {
                // For whoever asks next.
                items.add(item);
            }
            return item;
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    /**
     * Waits for the end. What a stream told and nobody read is an error, unless the rest may be anything or the client left.
     */
    JsonObject outcome(boolean rest, Duration timeout) throws Mismatch {
        var end = System.nanoTime() + timeout.toNanos();
        while (true) {
            var item = take(Duration.ofNanos(end - System.nanoTime()));
            if (item == null) {
                throw new Mismatch("it did not end");
            }
            if (item.isEmpty()) {
                return outcome;
            }
            if (!rest && !left && PASSED_OVER.stream().noneMatch(item.get()::has)) {
                throw new Mismatch("the stream told more: " + item.get());
            }
        }
    }

    @SuppressWarnings("unchecked") // All messages of the generated code are Message.
    private static MethodDescriptor<Message, Message> method(String name) throws Mismatch {
        return Stream.of(
                        SessionServiceGrpc.getServiceDescriptor(),
                        CallServiceGrpc.getServiceDescriptor(),
                        JobServiceGrpc.getServiceDescriptor(),
                        EventServiceGrpc.getServiceDescriptor(),
                        NodeServiceGrpc.getServiceDescriptor())
                .map(ServiceDescriptor::getMethods)
                .flatMap(methods -> methods.stream())
                .filter(method -> method.getFullMethodName().equals("switchgate.v1." + name))
                .map(method -> (MethodDescriptor<Message, Message>) method)
                .findFirst()
                .orElseThrow(() -> new Mismatch(name + ": no such method"));
    }

    private static JsonObject document(Message message) {
        try {
            return JsonParser.parseString(JsonFormat.printer().print(message)).getAsJsonObject();
        } catch (InvalidProtocolBufferException e) {
            throw new IllegalStateException("what was received can be written", e);
        }
    }

    private final class Listener extends ClientCall.Listener<Message> {
        private final boolean unary;
        private JsonObject response;

        Listener(boolean unary) {
            this.unary = unary;
        }

        @Override
        public void onMessage(Message message) {
            var told = document(message);
            if (unary) {
                response = told;
                return;
            }
            if (told.get("events") instanceof JsonObject batch) {
                for (var event : batch.getAsJsonArray("events")) {
                    var item = new JsonObject();
                    item.add("cursor", told.get("cursor"));
                    item.add("event", event);
                    items.add(Optional.of(item));
                }
            } else {
                items.add(Optional.of(told));
            }
            call.request(1);
        }

        @Override
        public void onClose(Status status, Metadata trailers) {
            var ended = new JsonObject();
            ended.addProperty("code", status.getCode().name());
            if (status.isOk() && response != null) {
                ended.add("response", response);
            }
            if (!status.isOk()) {
                ended.addProperty("message", status.getDescription());
                SwitchgateException.of(status.asRuntimeException(trailers))
                        .filter(why -> !why.reasonName().isEmpty())
                        .ifPresent(why -> facts(ended, why));
            }
            outcome = ended;
            items.add(Optional.empty());
        }

        private void facts(JsonObject ended, SwitchgateException why) {
            var metadata = new JsonObject();
            why.metadata().forEach(metadata::addProperty);
            ended.addProperty("reason", why.reasonName());
            ended.add("metadata", metadata);
        }
    }
}
