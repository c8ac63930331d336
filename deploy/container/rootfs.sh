#!/usr/bin/env bash
# Assembles the root file system of the Dockerfile's image without a container engine, and runs the gateway
# in it as the image does: process 1 of its own namespace, uid 65532, no capabilities, nothing writable.
#
#   deploy/container/rootfs.sh [BINARY [FOLDER]]
#
# BINARY is target/release/switchgate when left out. FOLDER keeps the root file system; without it, it is
# thrown away. The base image's share is the C library, the authorities of certificates and the users;
# its time zones and its own description of Debian are left out, since the gateway reads neither.
set -euo pipefail
cd "$(dirname "$0")/../.."

binary=${1:-target/release/switchgate}
missing=()
for name in ldd strip unshare setpriv chroot ps; do command -v "$name" >/dev/null || missing+=("$name"); done
[ -x "$binary" ] || missing+=("$binary")
if [ ${#missing[@]} -gt 0 ]; then
    echo "Skipped: the container's root file system (missing: ${missing[*]})"
    exit 0
fi

work=$(mktemp -d)
root=${2:-$work/root}
space=
finish() {
    local code=$?
    [ $code = 0 ] || { tail -n 20 "$work/log" >&2 || true; }
    # Its child: that is process 1 of the namespace, and another user's, so it would outlive its parent.
    [ -z "$space" ] || kill -KILL $(ps -o pid= --ppid "$space") 2>/dev/null || true
    rm -rf "$work"
    exit $code
}
trap finish EXIT
die() { echo "rootfs: FAILED: $*" >&2; exit 1; }

mkdir -p "$root"/{etc/ssl/certs,proc,tmp,usr/local/bin,home/nonroot}
strip --strip-debug -o "$root/usr/local/bin/switchgate" "$binary"
chmod 0755 "$root/usr/local/bin/switchgate"
# What it is linked with, at the places where the loader looks; the vdso has no file.
ldd "$binary" | grep -oE '/[^ ]+' | sort -u | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
echo 'nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin' >"$root/etc/passwd"
echo 'nonroot:x:65532:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
    cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
else
    echo "rootfs: without authorities of certificates (Debian: apt-get install ca-certificates)"
fi
echo "rootfs: $(find "$root" -type f | wc -l) files, $(du -sk --apparent-size "$root" | cut -f1) KiB, of them the program $(($(stat -c %s "$root/usr/local/bin/switchgate") / 1024)) KiB"
find "$root" -type f -printf '%s %P\n' | sort -k2

if [ "$(id -u)" != 0 ]; then
    echo "Skipped: to run in it (needs root for namespaces and another user)"
    exit 0
fi

if ! unshare --mount --pid --fork true 2>/dev/null; then
    echo "Skipped: to run in it (this machine gives no namespaces)"
    exit 0
fi

# A container's file systems: nothing but the root, read-only, and its own processes.
inside=(unshare --mount --pid --fork bash -c '
    set -e
    mount --bind "$0" "$0"
    mount -t proc proc "$0/proc"
    mount -o remount,bind,ro "$0"
    exec setpriv --no-new-privs chroot --userspec=65532:65532 --groups=65532 "$0" /usr/local/bin/switchgate "$@"
' "$root")
port=$((20000 + RANDOM % 10000))
grpc=127.0.0.1:$port admin=127.0.0.1:$((port + 1))
"${inside[@]}" serve --demo --listen "$grpc" --admin-listen "$admin" >"$work/log" 2>&1 &
space=$!
healthy=
for _ in $(seq 100); do
    if "${inside[@]}" healthcheck --address "$grpc" >"$work/health" 2>&1; then healthy=yes; break; fi
    sleep 0.1
done
[ -n "$healthy" ] || die "not healthy after 10 s: $(cat "$work/health")"
echo "rootfs: healthcheck in it: $(cat "$work/health")"
"${inside[@]}" nodes --address "$grpc" >"$work/nodes" || die "an RPC failed: $(cat "$work/nodes")"
cat "$work/nodes"

process=$(ps -o pid= --ppid "$space" | tr -d ' ')
[ -n "$process" ] || die "the gateway has ended"
[ "$(awk '/^NSpid:/ {print $NF}' "/proc/$process/status")" = 1 ] || die "it is not process 1"
status() { awk -v key="$1:" '$1 == key {print $2}' "/proc/$process/status"; }
[ "$(status Uid)" = 65532 ] || die "uid is $(status Uid)"
[ "$(status Gid)" = 65532 ] || die "gid is $(status Gid)"
for set in CapEff CapPrm CapInh CapAmb; do
    [ "$(status $set)" = 0000000000000000 ] || die "$set is $(status $set)"
done
[ "$(status NoNewPrivs)" = 1 ] || die "it may gain privileges"
awk '$5 == "/" {print $6}' "/proc/$process/mountinfo" | grep -qE '(^|,)ro(,|$)' || die "its root is writable"
echo "rootfs: process 1, uid $(status Uid), no capabilities, no new privileges, read-only root, $(status VmRSS) kB of memory"

begin=$(date +%s%N)
kill -TERM "$process"
wait "$space" && code=0 || code=$?
space=
[ $code = 0 ] || die "SIGTERM ended it with $code"
echo "rootfs: SIGTERM ended it with 0 after $((($(date +%s%N) - begin) / 1000000)) ms"
