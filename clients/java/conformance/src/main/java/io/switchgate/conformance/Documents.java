package io.switchgate.conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import java.util.Map;

/** Holds what came against what is expected, and finds things in it. */
final class Documents {
    private static final JsonPrimitive ANYTHING = new JsonPrimitive("*");

    private Documents() {}

    /** Where a value differs from what is expected; empty where it fits. Absent values are null. */
    static String fit(JsonElement expected, JsonElement actual, String path) {
        if (expected instanceof JsonObject want) {
            if (!(actual instanceof JsonObject have)) {
                return differs(expected, actual, path);
            }
            for (var key : want.keySet()) {
                var why = fit(want.get(key), have.get(key), path.isEmpty() ? key : path + "." + key);
                if (!why.isEmpty()) {
                    return why;
                }
            }
            return "";
        }
        if (expected instanceof JsonArray want) {
            return fits(want, actual, path) ? "" : differs(expected, actual, path);
        }
        var fits = expected.equals(ANYTHING)
                ? !isAbsent(actual) && !actual.equals(new JsonPrimitive(""))
                : expected.equals(actual) || isDefault(expected) && isDefault(actual);
        return fits ? "" : differs(expected, actual, path);
    }

    /** Whether an array has, in order, one that fits for each that is expected. */
    private static boolean fits(JsonArray want, JsonElement actual, String path) {
        var have = actual instanceof JsonArray array ? array : new JsonArray();
        if (have != actual && !isAbsent(actual) || want.isEmpty() && !have.isEmpty()) {
            return false;
        }
        var at = have.iterator();
        for (var element : want) {
            var found = false;
            while (!found && at.hasNext()) {
                found = fit(element, at.next(), path).isEmpty();
            }
            if (!found) {
                return false;
            }
        }
        return true;
    }

    /** What a path such as {@code response.sessions.0.sessionId} leads to. */
    static String look(JsonElement document, String path) throws Mismatch {
        var at = document;
        for (var key : path.split("\\.")) {
            if (at instanceof JsonObject object) {
                at = object.get(key);
            } else if (at instanceof JsonArray array && key.matches("\\d{1,6}")) {
                var index = Integer.parseInt(key);
                at = index < array.size() ? array.get(index) : null;
            } else {
                at = null;
            }
        }
        if (at instanceof JsonPrimitive text && text.isString() && !text.getAsString().isEmpty()) {
            return text.getAsString();
        }
        throw new Mismatch(path + ": is not there");
    }

    /** Puts saved values in place of <code>${NAME}</code> in all texts. */
    static JsonElement fill(JsonElement value, Map<String, String> saved) {
        if (value instanceof JsonObject object) {
            var filled = new JsonObject();
            object.entrySet().forEach(entry -> filled.add(entry.getKey(), fill(entry.getValue(), saved)));
            return filled;
        }
        if (value instanceof JsonArray array) {
            var filled = new JsonArray();
            array.forEach(element -> filled.add(fill(element, saved)));
            return filled;
        }
        if (value instanceof JsonPrimitive text && text.isString()) {
            var filled = text.getAsString();
            for (var entry : saved.entrySet()) {
                filled = filled.replace("${" + entry.getKey() + "}", entry.getValue());
            }
            return new JsonPrimitive(filled);
        }
        return value;
    }

    private static boolean isAbsent(JsonElement value) {
        return value == null || value instanceof JsonNull;
    }

    private static boolean isDefault(JsonElement value) {
        if (isAbsent(value)) {
            return true;
        }
        return value instanceof JsonPrimitive one
                && (one.isString() && one.getAsString().isEmpty()
                        || one.isBoolean() && !one.getAsBoolean()
                        || one.isNumber() && one.getAsDouble() == 0);
    }

    private static String differs(JsonElement expected, JsonElement actual, String path) {
        return path + ": expected " + expected + ", got " + actual;
    }
}
