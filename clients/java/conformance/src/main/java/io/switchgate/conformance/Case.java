package io.switchgate.conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.time.Duration;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;

/** What one case has come to. */
final class Case implements AutoCloseable {
    /** How long a step may take that says nothing else. */
    private static final Duration PATIENCE = Duration.ofSeconds(10);

    private static final Set<String> CALLED = Set.of("next", "until", "cancel", "finish");

    private final String address;
    private final JsonObject tokens;
    private final Map<String, String> saved = new HashMap<>();
    private final Map<String, Rpc> started = new HashMap<>();
    private ManagedChannel channel;

    private Case(String address, JsonObject tokens) {
        this.address = address;
        this.tokens = tokens;
        saved.put("run", "r" + HexFormat.of().toHexDigits(ThreadLocalRandom.current().nextInt()));
        connect();
    }

    static void run(String address, JsonObject tokens, JsonArray steps) throws Mismatch {
        try (var running = new Case(address, tokens)) {
            for (var at = 0; at < steps.size(); at++) {
                try {
                    running.step(steps.get(at).getAsJsonObject());
                } catch (Mismatch e) {
                    throw new Mismatch("step " + (at + 1) + ": " + e.getMessage());
                }
            }
        }
    }

    @Override
    public void close() {
        started.values().forEach(Rpc::leave);
        started.clear();
        channel.shutdownNow();
    }

    private void connect() {
        channel = Grpc.newChannelBuilder(address, InsecureChannelCredentials.create()).build();
    }

    private void step(JsonObject step) throws Mismatch {
        if (step.has("reconnect")) {
            close();
            connect();
        } else if (step.has("start")) {
            started.put(step.get("start").getAsString(), begin(step, null));
        } else if (step.has("rpc")) {
            var rpc = begin(step, PATIENCE);
            try {
                end(rpc, step);
            } finally {
                rpc.leave();
            }
        } else {
            named(step);
        }
    }

    /** A step of an RPC that was started before. */
    private void named(JsonObject step) throws Mismatch {
        var kind = CALLED.stream()
                .filter(step::has)
                .findFirst()
                .orElseThrow(() -> new Mismatch("a step of no known form: " + step));
        var rpc = started.get(step.get(kind).getAsString());
        if (rpc == null) {
            throw new Mismatch("nothing was started as " + step.get(kind));
        }
        switch (kind) {
            case "cancel" -> rpc.leave();
            case "finish" -> end(rpc, step);
            default -> read(rpc, step, kind.equals("until"));
        }
    }

    private Rpc begin(JsonObject step, Duration otherwise) throws Mismatch {
        var deadline = step.has("deadline")
                ? Duration.ofMillis((long) (step.get("deadline").getAsDouble() * 1000))
                : otherwise;
        var as = step.has("as") ? step.get("as").getAsString() : "admin";
        var token = tokens.has(as) ? tokens.get(as).getAsString() : null;
        return Rpc.begin(
                channel, step.get("rpc").getAsString(), token, Documents.fill(step.get("request"), saved), deadline);
    }

    /** Waits for the end of an RPC and looks at its outcome. */
    private void end(Rpc rpc, JsonObject step) throws Mismatch {
        var expected = expected(step);
        if (!expected.has("code")) {
            expected.add("code", new JsonPrimitive("OK"));
        }
        var outcome = rpc.outcome(step.has("rest"), PATIENCE.multipliedBy(3));
        // First of all the code: it tells most.
        var why = Documents.fit(expected.get("code"), outcome.get("code"), "code");
        if (!why.isEmpty()) {
            throw new Mismatch(why + " (" + outcome + ")");
        }
        why = Documents.fit(expected, outcome, "");
        if (!why.isEmpty()) {
            throw new Mismatch(why);
        }
        save(step, outcome);
    }

    /** Takes items of a stream: the next one, which must fit, or all until one fits. */
    private void read(Rpc rpc, JsonObject step, boolean until) throws Mismatch {
        var expected = expected(step);
        var end = System.nanoTime() + PATIENCE.toNanos();
        while (true) {
            var item = rpc.take(Duration.ofNanos(end - System.nanoTime()));
            if (item == null) {
                throw new Mismatch("nothing came that fits " + expected);
            }
            if (item.isEmpty()) {
                throw new Mismatch("the stream ended: " + rpc.outcome(true, PATIENCE));
            }
            var told = item.get();
            if (Rpc.PASSED_OVER.stream().anyMatch(key -> told.has(key) && !expected.has(key))) {
                continue;
            }
            var why = Documents.fit(expected, told, "");
            if (why.isEmpty()) {
                save(step, told);
                return;
            }
            if (!until) {
                throw new Mismatch(why + " (" + told + ")");
            }
        }
    }

    private JsonObject expected(JsonObject step) {
        return step.has("expect") ? Documents.fill(step.get("expect"), saved).getAsJsonObject() : new JsonObject();
    }

    private void save(JsonObject step, JsonObject document) throws Mismatch {
        if (step.get("save") instanceof JsonObject names) {
            for (Map.Entry<String, JsonElement> entry : names.entrySet()) {
                saved.put(entry.getKey(), Documents.look(document, entry.getValue().getAsString()));
            }
        }
    }
}
