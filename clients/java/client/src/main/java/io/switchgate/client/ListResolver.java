package io.switchgate.client;

import io.grpc.Attributes;
import io.grpc.EquivalentAddressGroup;
import io.grpc.NameResolver;
import io.grpc.Status;
import io.grpc.StatusOr;
import io.grpc.SynchronizationContext;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;

/** Looks up each of several addresses; those that have none are left out as long as others have. */
final class ListResolver extends NameResolver {
    private final List<String> addresses;
    private final SynchronizationContext inOrder;
    private final Executor offload;
    private Listener2 listener;

    ListResolver(List<String> addresses, Args args) {
        this.addresses = addresses;
        inOrder = args.getSynchronizationContext();
        offload = args.getOffloadExecutor();
    }

    @Override
    public String getServiceAuthority() {
        return addresses.get(0);
    }

    @Override
    public void start(Listener2 to) {
        listener = to;
        refresh();
    }

    @Override
    public void refresh() {
        if (offload == null) {
            inOrder.execute(() -> tell(find()));
        } else {
            offload.execute(() -> {
                var found = find();
                inOrder.execute(() -> tell(found));
            });
        }
    }

    @Override
    public void shutdown() {}

    private void tell(StatusOr<List<EquivalentAddressGroup>> found) {
        listener.onResult2(ResolutionResult.newBuilder().setAddressesOrError(found).build());
    }

    private StatusOr<List<EquivalentAddressGroup>> find() {
        var found = new ArrayList<EquivalentAddressGroup>();
        var failure = Status.UNAVAILABLE.withDescription("no address in " + addresses);
        for (var address : addresses) {
            try {
                var uri = URI.create("list://" + address);
                // Of each the certificate is asked for its own name, not for the list's.
                var own = Attributes.newBuilder()
                        .set(EquivalentAddressGroup.ATTR_AUTHORITY_OVERRIDE, address)
                        .build();
                for (var host : InetAddress.getAllByName(uri.getHost())) {
                    found.add(new EquivalentAddressGroup(new InetSocketAddress(host, uri.getPort()), own));
                }
            } catch (UnknownHostException | IllegalArgumentException e) {
                failure = Status.UNAVAILABLE.withDescription("no address for " + address).withCause(e);
            }
        }
        return found.isEmpty() ? StatusOr.fromStatus(failure) : StatusOr.fromValue(found);
    }
}
