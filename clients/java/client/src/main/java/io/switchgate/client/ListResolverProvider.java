package io.switchgate.client;

import io.grpc.NameResolver;
import io.grpc.NameResolverProvider;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.URI;
import java.util.Collection;
import java.util.List;

/** Lets a target be several {@code host:port} with commas between. Found by gRPC through {@code META-INF/services}. */
public final class ListResolverProvider extends NameResolverProvider {
    static final String SCHEME = "switchgate-list";

    @Override
    protected boolean isAvailable() {
        return true;
    }

    @Override
    protected int priority() {
        // Below that of DNS, which stays what a target without a scheme means.
        return 1;
    }

    @Override
    public String getDefaultScheme() {
        return SCHEME;
    }

    @Override
    public Collection<Class<? extends SocketAddress>> getProducedSocketAddressTypes() {
        return List.of(InetSocketAddress.class);
    }

    @Override
    public NameResolver newNameResolver(URI target, NameResolver.Args args) {
        if (!SCHEME.equals(target.getScheme())) {
            return null;
        }
        var list = target.getPath();
        return new ListResolver(List.of(list.substring(list.startsWith("/") ? 1 : 0).split(",")), args);
    }
}
