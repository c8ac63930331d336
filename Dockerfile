# syntax=docker/dockerfile:1
#
#   docker build -t switchgate .
#   docker run --rm --read-only -p 50061:50061 switchgate serve --demo --insecure --listen 0.0.0.0:50061
#
# Both images can be pinned by digest: --build-arg RUNTIME=gcr.io/distroless/cc-debian12:nonroot@sha256:...
# deploy/container/rootfs.sh assembles the same root file system without a container engine.

ARG RUST=rust:1.95.0-bookworm
ARG RUNTIME=gcr.io/distroless/cc-debian12:nonroot

FROM ${RUST} AS build
WORKDIR /src
COPY . .
# Else rustup would fetch the tools that rust-toolchain.toml names for developers.
ENV RUSTUP_TOOLCHAIN=1.95.0
# The same source gives the same program: locked dependencies, one toolchain, no path of the machine.
# Symbols stay for backtraces; line tables, three quarters of the file, go.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    RUSTFLAGS="--remap-path-prefix=/src=. --remap-path-prefix=/usr/local/cargo=cargo" \
    cargo build --release --locked --bin switchgate \
    && strip --strip-debug -o /switchgate target/release/switchgate

FROM ${RUNTIME}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="switchgate" \
      org.opencontainers.image.description="The gRPC control plane for FreeSWITCH" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build --chmod=0755 /switchgate /usr/local/bin/switchgate
# Milliseconds for which the allocator keeps freed memory: a third more events per second (docs/benchmarks-ingest.md).
ENV MIMALLOC_PURGE_DELAY=10000
USER 65532:65532
EXPOSE 50061 50062
ENTRYPOINT ["/usr/local/bin/switchgate"]
CMD ["serve"]
