package io.switchgate.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.stub.StreamObserver;
import io.switchgate.v1.HangupRequest;
import io.switchgate.v1.HangupResponse;
import io.switchgate.v1.OriginateLeg;
import io.switchgate.v1.OriginateStreamRequest;
import io.switchgate.v1.OriginateStreamResponse;
import io.switchgate.v1.Session;
import io.switchgate.v1.SessionServiceGrpc;
import java.io.StringWriter;
import java.net.URLClassLoader;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.regex.Pattern;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class ReadmeTest {
    private static final String FRAME = """
            import io.grpc.StatusRuntimeException;
            import io.switchgate.client.*;
            import io.switchgate.v1.*;
            import java.time.Duration;

            class Fragment%d {
                void run(SwitchgateClient client, OriginateRequest request, String id) throws Exception {
            %s
                }
            }
            """;

    @TempDir
    private Path folder;

    @Test
    void placesACallInFewLines() throws Exception {
        var program = blocks().get(0);
        assertTrue(program.lines().count() < 20, program);
        compile("Call", program);

        var seen = new CopyOnWriteArrayList<String>();
        var gateway = Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
                .addService(new Sessions(seen))
                .build()
                .start();
        try (var loader = new URLClassLoader(new URL[] {folder.toUri().toURL()})) {
            String[] arguments = {"127.0.0.1:" + gateway.getPort(), "user/1000"};
            loader.loadClass("Call").getMethod("main", String[].class).invoke(null, (Object) arguments);
        } finally {
            gateway.shutdownNow();
        }
        assertEquals(List.of("user/1000", "hangup leg"), seen);
    }

    @Test
    void hasFragmentsThatCompile() throws Exception {
        var fragments = blocks();
        assertEquals(4, fragments.size());
        for (var at = 1; at < fragments.size(); at++) {
            compile("Fragment" + at, FRAME.formatted(at, fragments.get(at)));
        }
    }

    private static List<String> blocks() throws Exception {
        var readme = Files.readString(Path.of("..", "README.md"));
        return Pattern.compile("```java\n(.*?)```", Pattern.DOTALL)
                .matcher(readme)
                .results()
                .map(block -> block.group(1))
                .toList();
    }

    private void compile(String name, String source) throws Exception {
        var file = Files.writeString(folder.resolve(name + ".java"), source);
        var compiler = ToolProvider.getSystemJavaCompiler();
        var said = new StringWriter();
        try (var files = compiler.getStandardFileManager(null, null, null)) {
            var options = List.of("-d", folder.toString(), "-cp", System.getProperty("java.class.path"));
            var task = compiler.getTask(said, files, null, options, null, files.getJavaFileObjects(file));
            assertTrue(task.call(), () -> said.toString());
        }
    }

    /** Answers every call. */
    private static final class Sessions extends SessionServiceGrpc.SessionServiceImplBase {
        private final List<String> seen;

        Sessions(List<String> seen) {
            this.seen = seen;
        }

        @Override
        public void originateStream(OriginateStreamRequest request, StreamObserver<OriginateStreamResponse> to) {
            seen.addAll(request.getOriginate().getEndpointsList());
            var leg = OriginateLeg.newBuilder().setSession(Session.newBuilder().setSessionId("leg"));
            to.onNext(OriginateStreamResponse.newBuilder().setEnded(leg).build());
            to.onCompleted();
        }

        @Override
        public void hangup(HangupRequest request, StreamObserver<HangupResponse> to) {
            seen.add("hangup " + request.getSessionId());
            to.onNext(HangupResponse.getDefaultInstance());
            to.onCompleted();
        }
    }
}
