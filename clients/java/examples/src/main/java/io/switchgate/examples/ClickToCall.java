package io.switchgate.examples;

import io.switchgate.client.SwitchgateClient;
import io.switchgate.client.SwitchgateException;
import io.switchgate.v1.BridgeRequest;
import io.switchgate.v1.HangupCause;
import io.switchgate.v1.OriginateRequest;
import io.switchgate.v1.Session;
import io.switchgate.v1.WatchCallRequest;
import java.time.Duration;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;

/**
 * Rings an agent, then the customer, and lets them talk. Ctrl-C hangs both up, whoever rings.
 *
 * <pre>./example ClickToCall --agent=user/1000 --customer=sofia/gateway/carrier/15551234</pre>
 */
public final class ClickToCall {
    private static final Duration RINGING = Duration.ofSeconds(30);

    private ClickToCall() {}

    /** Takes the options of all examples, {@code --agent} and {@code --customer}: dial strings. */
    public static void main(String[] arguments) {
        Example.run(arguments, (client, example) -> {
            var agent = call(client, example.option("agent", "sofia/internal/answer@127.0.0.1"));
            System.out.println("the agent is there: " + agent.getSessionId());
            try {
                connect(client, agent, example.option("customer", "sofia/internal/tone@127.0.0.1"));
            } finally {
                hangUp(client, agent.getSessionId());
            }
        });
    }

    private static Session call(SwitchgateClient client, String agent) throws Exception {
        var request = OriginateRequest.newBuilder().addEndpoints(agent).setCallerIdName("Click to call").build();
        var call = client.originate(request, RINGING, told -> {
            if (told.hasProgressed()) {
                System.out.println("the agent's phone rings");
            }
        });
        try {
            return call.get();
        } catch (ExecutionException e) {
            throw why("the agent", e);
        } catch (InterruptedException e) {
            call.cancel(true);
            call.released().join();
            throw e;
        }
    }

    private static void connect(SwitchgateClient client, Session agent, String customer) {
        var request =
                BridgeRequest.newBuilder().setSessionId(agent.getSessionId()).setEndpoint(customer).build();
        try {
            var stub = client.sessions().withDeadlineAfter(RINGING.toSeconds(), TimeUnit.SECONDS);
            System.out.println("they talk: " + stub.bridge(request).getPeer().getSessionId());
        } catch (RuntimeException e) {
            throw why("the customer", e);
        }
        var watch = client.calls().watchCall(WatchCallRequest.newBuilder().setCallId(agent.getCallId()).build());
        watch.forEachRemaining(call -> {});
        System.out.println("the call has ended");
    }

    /** Works also when the program was told to stop. */
    private static void hangUp(SwitchgateClient client, String leg) {
        var interrupted = Thread.interrupted();
        try {
            client.hangup(leg, HangupCause.HANGUP_CAUSE_NORMAL_CLEARING, Duration.ofSeconds(5));
        } catch (SwitchgateException e) {
            System.out.println("the agent may still be there: " + e.getMessage());
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private static IllegalStateException why(String who, Exception e) {
        return new IllegalStateException(
                switch (SwitchgateException.hangupCauseOf(e)) {
                    case HANGUP_CAUSE_USER_BUSY -> who + " is busy";
                    case HANGUP_CAUSE_NO_ANSWER, HANGUP_CAUSE_ORIGINATOR_CANCEL -> who + " does not answer";
                    default -> who + " cannot be reached: " + e.getMessage();
                },
                e);
    }
}
