package io.switchgate.client;

/**
 * Says what is wrong with a field of a request.
 *
 * @param field its name, as in the proto files
 * @param description what is wrong and what to write
 */
public record Violation(String field, String description) {}
