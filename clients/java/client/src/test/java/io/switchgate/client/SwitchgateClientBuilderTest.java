package io.switchgate.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Server;
import io.grpc.Status.Code;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.StreamObserver;
import io.switchgate.v1.HangupCause;
import io.switchgate.v1.ListNodesRequest;
import io.switchgate.v1.ListNodesResponse;
import io.switchgate.v1.NodeServiceGrpc;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(20)
class SwitchgateClientBuilderTest {
    @Test
    void goesRoundAListOfGateways() throws Exception {
        var first = new AtomicInteger();
        var second = new AtomicInteger();
        var one = serve(first);
        var other = serve(second);
        var target = "localhost:" + one.getPort() + ", 127.0.0.1:" + other.getPort();
        try (var client = SwitchgateClient.builder(target).plaintext().build()) {
            // Connections come one after the other, so the first RPCs may all go to one.
            while (first.get() == 0 || second.get() == 0) {
                client.nodes().withDeadlineAfter(10, TimeUnit.SECONDS).listNodes(ListNodesRequest.getDefaultInstance());
            }
        } finally {
            one.shutdownNow();
            other.shutdownNow();
        }
    }

    @Test
    void failsFastWhereItIsAsked() {
        try (var client = SwitchgateClient.builder("127.0.0.1:1").plaintext().withoutRetries().failFast().build()) {
            var stub = client.nodes().withDeadlineAfter(10, TimeUnit.SECONDS);
            var e = assertThrows(
                    StatusRuntimeException.class, () -> stub.listNodes(ListNodesRequest.getDefaultInstance()));
            assertEquals(Code.UNAVAILABLE, e.getStatus().getCode());
        }
    }

    @Test
    void waitsForAGatewayUntilTheDeadline() {
        try (var client = SwitchgateClient.builder("127.0.0.1:1").plaintext().build()) {
            var stub = client.nodes().withDeadlineAfter(200, TimeUnit.MILLISECONDS);
            var e = assertThrows(
                    StatusRuntimeException.class, () -> stub.listNodes(ListNodesRequest.getDefaultInstance()));
            assertEquals(Code.DEADLINE_EXCEEDED, e.getStatus().getCode());
        }
    }

    @Test
    void readsTheTokenForEachRpc(@TempDir Path folder) throws Exception {
        var file = folder.resolve("token");
        Files.writeString(file, "first\n");
        try (var gateway = new FakeGateway();
                var client = gateway.client(builder -> builder.tokenFile(file))) {
            client.hangup("a", HangupCause.HANGUP_CAUSE_USER_BUSY, Duration.ofSeconds(10));
            Files.writeString(file, "second\n");
            client.hangup("a", HangupCause.HANGUP_CAUSE_USER_BUSY, Duration.ofSeconds(10));
            assertEquals(List.of("Bearer first", "Bearer second"), gateway.tokens);
            Files.delete(file);
            var stub = client.nodes().withDeadlineAfter(10, TimeUnit.SECONDS);
            var e = assertThrows(
                    StatusRuntimeException.class, () -> stub.listNodes(ListNodesRequest.getDefaultInstance()));
            assertEquals(Code.UNAUTHENTICATED, e.getStatus().getCode());
        }
    }

    @Test
    void repeatsByConfigurationWhatChangesNothing() {
        var config = SwitchgateClient.builder("a:1").serviceConfig();
        var text = config.toString();
        assertTrue(text.contains("round_robin") && text.contains("healthCheckConfig"), text);
        var methods = (List<?>) config.get("methodConfig");
        assertEquals(2, methods.size());
        var names = (List<?>) ((Map<?, ?>) methods.get(1)).get("name");
        assertTrue(names.contains(Map.of("service", "switchgate.v1.SessionService", "method", "GetSession")));
        assertFalse(names.contains(Map.of("service", "switchgate.v1.SessionService", "method", "Hangup")));

        var bare = SwitchgateClient.builder("a:1").withoutRetries().withoutHealthCheck().serviceConfig();
        assertFalse(bare.containsKey("healthCheckConfig"));
        assertEquals(1, ((List<?>) bare.get("methodConfig")).size());
    }

    private static Server serve(AtomicInteger asked) throws Exception {
        return Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
                .addService(new NodeServiceGrpc.NodeServiceImplBase() {
                    @Override
                    public void listNodes(ListNodesRequest request, StreamObserver<ListNodesResponse> to) {
                        asked.incrementAndGet();
                        to.onNext(ListNodesResponse.getDefaultInstance());
                        to.onCompleted();
                    }
                })
                .build()
                .start();
    }
}
