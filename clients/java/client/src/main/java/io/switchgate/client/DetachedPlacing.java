package io.switchgate.client;

import io.grpc.Channel;
import io.grpc.Deadline;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import io.switchgate.v1.OriginateRequest;
import io.switchgate.v1.OriginateResponse;
import io.switchgate.v1.SessionServiceGrpc;

/** Places a call that nobody has to hang up. */
final class DetachedPlacing implements ClientResponseObserver<OriginateRequest, OriginateResponse> {
    private final Origination future;

    private DetachedPlacing(Origination future) {
        this.future = future;
    }

    static void start(Channel channel, OriginateRequest request, Deadline deadline, Origination future) {
        SessionServiceGrpc.newStub(channel).withDeadline(deadline).originate(request, new DetachedPlacing(future));
    }

    @Override
    public void beforeStart(ClientCallStreamObserver<OriginateRequest> call) {
        future.whenComplete((session, failure) -> {
            if (failure != null) {
                call.cancel("nobody waits for it", null);
            }
        });
    }

    @Override
    public void onNext(OriginateResponse response) {
        future.complete(response.getSession());
    }

    @Override
    public void onError(Throwable failure) {
        future.completeExceptionally(SwitchgateException.from(failure));
        future.release();
    }

    @Override
    public void onCompleted() {
        future.release();
    }
}
