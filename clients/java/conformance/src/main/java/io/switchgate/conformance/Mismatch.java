package io.switchgate.conformance;

/** Says what is not as the scenario expects it. */
final class Mismatch extends Exception {
    private static final long serialVersionUID = 1;

    Mismatch(String why) {
        super(why);
    }
}
