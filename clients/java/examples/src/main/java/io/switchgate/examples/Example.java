package io.switchgate.examples;

import io.switchgate.client.SwitchgateClient;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What the examples have in common: where the gateway is, and an end by Ctrl-C.
 *
 * <p>Options are written {@code --name=value}: {@code --gateway} is its address, or those of several with commas between,
 * {@code --token-file} a file with the bearer token; {@code --tls=true} speaks TLS with the authorities of the system.
 */
final class Example {
    private static final long CLEAN_UP_MILLIS = 7_000;

    private final Map<String, String> options = new HashMap<>();
    private final List<String> rest = new ArrayList<>();
    private volatile boolean stopping;

    /** What an example does; its thread is interrupted by Ctrl-C. */
    interface Program {
        void run(SwitchgateClient client, Example example) throws Exception;
    }

    private Example(String[] arguments) {
        for (var argument : arguments) {
            var at = argument.indexOf('=');
            if (argument.startsWith("--") && at > 0) {
                options.put(argument.substring(2, at), argument.substring(at + 1));
            } else {
                rest.add(argument);
            }
        }
    }

    /** Parses the arguments, connects and runs a program; what it throws ends the process. */
    static void run(String[] arguments, Program program) {
        var example = new Example(arguments);
        var main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            example.stopping = true;
            main.interrupt();
            try {
                main.join(CLEAN_UP_MILLIS);
            } catch (InterruptedException e) {
                // The process ends anyhow.
            }
        }));
        try (var client = example.connect()) {
            program.run(client, example);
        } catch (Exception e) {
            // One that was told to stop did not fail.
            if (!example.stopping) {
                System.err.println(e.getMessage() == null ? e : e.getMessage());
                Runtime.getRuntime().halt(1);
            }
        }
    }

    String option(String name, String otherwise) {
        return options.getOrDefault(name, otherwise);
    }

    /** The arguments that are no options. */
    List<String> rest() {
        return rest;
    }

    private SwitchgateClient connect() {
        var builder = SwitchgateClient.builder(option("gateway", "127.0.0.1:50061"));
        if (options.containsKey("token-file")) {
            builder.tokenFile(Path.of(options.get("token-file")));
        }
        if (!option("tls", "false").equals("true")) {
            builder.plaintext();
        }
        return builder.build();
    }
}
