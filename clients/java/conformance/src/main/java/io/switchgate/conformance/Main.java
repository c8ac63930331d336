package io.switchgate.conformance;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Runs {@code clients/conformance/scenario.json} against a gateway; the README there tells the format.
 *
 * <p>It says {@code ok NAME} or {@code FAIL NAME: why} for each case and exits with 1 when one failed.
 */
public final class Main {
    private Main() {}

    /** Takes ADDRESS SCENARIO [CASE...]. */
    public static void main(String[] arguments) {
        if (arguments.length < 2) {
            System.err.println("usage: conformance ADDRESS SCENARIO [CASE...]");
            System.exit(64);
        }
        JsonObject scenario = null;
        try {
            scenario = JsonParser.parseString(Files.readString(Path.of(arguments[1]))).getAsJsonObject();
        } catch (IOException e) {
            System.err.println("conformance: " + e);
            System.exit(66);
        } catch (JsonParseException e) {
            System.err.println("conformance: " + arguments[1] + ": " + e.getMessage());
            System.exit(65);
        }
        var wanted = List.of(arguments).subList(2, arguments.length);
        System.exit(run(arguments[0], scenario, wanted) ? 0 : 1);
    }

    private static boolean run(String address, JsonObject scenario, List<String> wanted) {
        var tokens = scenario.getAsJsonObject("tokens");
        var passed = 0;
        var failed = 0;
        for (JsonElement each : scenario.getAsJsonArray("cases")) {
            var name = each.getAsJsonObject().get("name").getAsString();
            if (!wanted.isEmpty() && !wanted.contains(name)) {
                continue;
            }
            try {
                Case.run(address, tokens, each.getAsJsonObject().getAsJsonArray("steps"));
                System.out.println("ok " + name);
                passed++;
            } catch (Mismatch e) {
                System.out.println("FAIL " + name + ": " + e.getMessage());
                failed++;
            }
        }
        System.out.println(passed + " ok, " + failed + " failed");
        return failed == 0 && passed > 0;
    }
}
