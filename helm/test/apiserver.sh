#!/usr/bin/env bash
# Installs the chart into a real kube-apiserver: every value file of ci/ under the Pod Security Standard
# `restricted`, with strict validation, then upgrade, rollback, test and uninstall.
#
# The tools come from PATH or from HELM, ETCD, KUBE_APISERVER and KUBECTL. CRDS may name a folder with the
# CustomResourceDefinitions of ServiceMonitor, PrometheusRule and GRPCRoute; without it these three objects
# are left out. There is no kubelet and no controller: pods are made here from what the Deployment says, and
# `helm test` sees a pod that is said to have succeeded.
set -euo pipefail
cd "$(dirname "$0")/.."

chart=switchgate
missing=()
tool() {
    local variable=$1 name=$2 path
    path=${!variable:-$(command -v "$name" || true)}
    [ -x "$path" ] || missing+=("$name")
    printf -v "$variable" %s "$path"
}
HELM=${HELM:-} ETCD=${ETCD:-} KUBE_APISERVER=${KUBE_APISERVER:-} KUBECTL=${KUBECTL:-}
tool HELM helm
tool ETCD etcd
tool KUBE_APISERVER kube-apiserver
tool KUBECTL kubectl
for name in openssl python3; do command -v "$name" >/dev/null || missing+=("$name"); done
if [ ${#missing[@]} -gt 0 ]; then
    echo "Skipped: the chart in a kube-apiserver (missing: ${missing[*]})"
    exit 0
fi

work=$(mktemp -d)
started=()
finish() {
    local code=$?
    [ $code = 0 ] || { tail -n 20 "$work"/*.log >&2 || true; }
    # At once: an orderly stop of the server waits a minute for watches, and its data is thrown away.
    for process in "${started[@]}"; do kill -KILL "$process" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
    exit $code
}
trap finish EXIT
say() { echo "apiserver: $*"; }
die() { echo "apiserver: FAILED: $*" >&2; exit 1; }

# Four ports that were free a moment ago.
read -r client_port peer_port api_port < <(python3 - <<'PY'
import socket
sockets = [socket.socket() for _ in range(3)]
for one in sockets: one.bind(("127.0.0.1", 0))
print(*[one.getsockname()[1] for one in sockets])
PY
)

"$ETCD" --data-dir "$work/etcd" --unsafe-no-fsync --log-level error \
    --listen-client-urls "http://127.0.0.1:$client_port" --advertise-client-urls "http://127.0.0.1:$client_port" \
    --listen-peer-urls "http://127.0.0.1:$peer_port" --initial-advertise-peer-urls "http://127.0.0.1:$peer_port" \
    --initial-cluster "default=http://127.0.0.1:$peer_port" >"$work/etcd.log" 2>&1 &
started+=($!)
openssl genrsa -out "$work/accounts.key" 2048 2>/dev/null
token=$(openssl rand -hex 16)
echo "$token,admin,admin,system:masters" >"$work/tokens.csv"
"$KUBE_APISERVER" --etcd-servers "http://127.0.0.1:$client_port" --cert-dir "$work/certs" \
    --bind-address 127.0.0.1 --secure-port "$api_port" --advertise-address 127.0.0.1 \
    --endpoint-reconciler-type none --service-cluster-ip-range 10.0.0.0/24 --authorization-mode RBAC \
    --token-auth-file "$work/tokens.csv" --service-account-issuer https://kubernetes.default.svc \
    --service-account-key-file "$work/accounts.key" --service-account-signing-key-file "$work/accounts.key" \
    >"$work/kube-apiserver.log" 2>&1 &
started+=($!)

export KUBECONFIG=$work/kubeconfig
export HELM_CACHE_HOME=$work/helm HELM_CONFIG_HOME=$work/helm HELM_DATA_HOME=$work/helm
cat >"$KUBECONFIG" <<YAML
apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: admin}}]
clusters: [{name: test, cluster: {server: "https://127.0.0.1:$api_port", insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: "$token"}}]
YAML
ready() { "$KUBECTL" get --raw /readyz >/dev/null 2>&1; }
for _ in $(seq 240); do ready && break; sleep 0.5; done
ready || die "the kube-apiserver is not ready after 2 minutes"
say "$("$KUBE_APISERVER" --version), $("$ETCD" --version | head -n 1), helm $("$HELM" version --short)"

without=()
if [ -n "${CRDS:-}" ]; then
    "$KUBECTL" apply --server-side -f "$CRDS" >/dev/null
    "$KUBECTL" wait --for condition=Established --timeout 60s crd --all >/dev/null
    say "$("$KUBECTL" get crd -o name | wc -l) CustomResourceDefinitions"
else
    without=(--set serviceMonitor.enabled=false,prometheusRule.enabled=false,grpcRoute.enabled=false)
    say "without ServiceMonitor, PrometheusRule and GRPCRoute (set CRDS)"
fi

namespace() {
    "$KUBECTL" create namespace "$1" >/dev/null
    "$KUBECTL" label namespace "$1" pod-security.kubernetes.io/{enforce,warn,audit}=restricted >/dev/null
    # A controller makes it elsewhere.
    "$KUBECTL" -n "$1" create serviceaccount default >/dev/null 2>&1 || true
}
# The pod that a Deployment's template describes, as its controller would make it.
pod_of() {
    "$KUBECTL" -n "$1" get deployment -o json | python3 -c '
import json, sys
template = json.load(sys.stdin)["items"][0]["spec"]["template"]
metadata = {**template["metadata"], "generateName": "gateway-"}
json.dump({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}, sys.stdout)'
}
generation() { "$KUBECTL" -n "$1" get deployment -o jsonpath='{.items[0].metadata.generation}'; }
checksum() {
    "$KUBECTL" -n "$1" get deployment -o jsonpath='{.items[0].spec.template.metadata.annotations.checksum/config}'
}
all_kinds=$("$KUBECTL" api-resources --namespaced --verbs list -o name | grep -v '^events' | paste -sd,)
# Everything of a release, for instance after it is gone.
left() { "$KUBECTL" -n "$1" get "$all_kinds" -l app.kubernetes.io/instance=sg -o name 2>/dev/null; }

# That the standard is enforced at all: else nothing below proves anything.
namespace proof
if "$KUBECTL" -n proof run root --image=x >/dev/null 2>"$work/refused"; then
    die "a pod without any security was admitted"
fi
grep -q 'violates PodSecurity "restricted:latest"' "$work/refused" || die "refused for another reason: $(cat "$work/refused")"
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: proof}\ndta: {}\n' |
    "$KUBECTL" apply --server-side --dry-run=server --validate=strict -f - >/dev/null 2>&1 &&
    die "an unknown field was taken"

for values in "$chart"/ci/*-values.yaml; do
    name=$(basename "$values" -values.yaml)
    ns=ci-$name
    namespace "$ns"
    "$HELM" install sg "$chart" -n "$ns" -f "$values" "${without[@]}" >"$work/notes" 2>"$work/warnings" ||
        die "$name: $(cat "$work/warnings")"
    [ ! -s "$work/warnings" ] || die "$name: the server warns: $(cat "$work/warnings")"
    # An unknown field is an error here; behind the install, since the test's pod needs its service account.
    "$HELM" template sg "$chart" --kube-version 1.34.0 -n "$ns" -f "$values" "${without[@]}" |
        "$KUBECTL" apply --server-side --force-conflicts --dry-run=server --validate=strict \
            -f - >/dev/null 2>"$work/warnings" ||
        die "$name: $(cat "$work/warnings")"
    [ ! -s "$work/warnings" ] || die "$name: the server warns: $(cat "$work/warnings")"
    pod_of "$ns" | "$KUBECTL" -n "$ns" create -f - >/dev/null || die "$name: the pod is not admitted"
    say "$name: $(left "$ns" | wc -l) objects and a pod, restricted"
done

# The same values change nothing; others do; a rollback brings them back.
ns=ci-03-production
values=(-f "$chart/ci/03-production-values.yaml" "${without[@]}")
first=$(checksum "$ns") before=$(generation "$ns")
"$HELM" upgrade sg "$chart" -n "$ns" "${values[@]}" >/dev/null
[ "$(generation "$ns")" = "$before" ] || die "an upgrade with the same values changed the Deployment"
"$HELM" upgrade sg "$chart" -n "$ns" "${values[@]}" --set config.log.level=debug >/dev/null
[ "$(checksum "$ns")" != "$first" ] || die "another configuration does not replace the pods"
"$KUBECTL" -n "$ns" get configmap sg-switchgate -o jsonpath='{.data.switchgate\.yaml}' | grep -q 'level: debug' ||
    die "the configuration is not the new one"
"$HELM" upgrade sg "$chart" -n "$ns" "${values[@]}" --set config.log.level=debug --set config.lgo.level=info \
    >/dev/null 2>&1 && die "a key that does not exist was taken"
"$HELM" rollback sg 1 -n "$ns" >/dev/null
[ "$(checksum "$ns")" = "$first" ] || die "the rollback did not bring the configuration back"
say "upgrade and rollback: $("$HELM" history sg -n "$ns" -o json | python3 -c '
import json, sys
print(", ".join("%s %s" % (one["revision"], one["status"]) for one in json.load(sys.stdin)))')"

# Between a chart with a Secret of its own and one without, and between counted and scaled replicas.
ns=ci-02-minimal
"$HELM" upgrade sg "$chart" -n "$ns" -f "$chart/ci/02-minimal-values.yaml" \
    --set eslPassword.value=secret,autoscaling.enabled=true >/dev/null
"$KUBECTL" -n "$ns" get secret/sg-switchgate-esl hpa/sg-switchgate -o name >/dev/null
"$HELM" rollback sg 1 -n "$ns" >/dev/null
[ -z "$("$KUBECTL" -n "$ns" get secret/sg-switchgate-esl hpa/sg-switchgate -o name --ignore-not-found)" ] ||
    die "the rollback left the Secret or the autoscaler"
[ "$("$KUBECTL" -n "$ns" get deployment sg-switchgate -o jsonpath='{.spec.replicas}')" = 2 ] ||
    die "the rollback did not bring the replicas back"

# `helm test`: its pod is admitted, and a pod that succeeds is a test that passed; the script plays the kubelet.
ns=ci-03-production
"$HELM" test sg -n "$ns" --timeout 60s >"$work/test" 2>&1 &
testing=$!
started+=($testing)
for _ in $(seq 60); do
    "$KUBECTL" -n "$ns" get pod sg-switchgate-test >/dev/null 2>&1 && break
    sleep 0.5
done
"$KUBECTL" -n "$ns" patch pod sg-switchgate-test --subresource status --type merge \
    -p '{"status": {"phase": "Succeeded"}}' >/dev/null || die "$(cat "$work/test")"
wait "$testing" || die "helm test: $(cat "$work/test")"
say "helm test: $(grep -i '^phase' "$work/test")"

# The way of docs/kubernetes.md to let service accounts in: the server's own keys and one of its tokens.
gateway=${SWITCHGATE:-../target/debug/switchgate}
if [ -x "$gateway" ]; then
    issuer=$("$KUBECTL" get --raw /.well-known/openid-configuration | python3 -c 'import json, sys; print(json.load(sys.stdin)["issuer"])')
    "$KUBECTL" get --raw /openid/v1/jwks >"$work/jwks.json"
    "$KUBECTL" -n proof create serviceaccount switchgate-test >/dev/null
    "$KUBECTL" -n proof create token switchgate-test --audience switchgate >"$work/token"
    "$KUBECTL" -n proof create token switchgate-test >"$work/other"
    cat >"$work/switchgate.yaml" <<YAML
access:
  jwt: [{issuer: "$issuer", audience: [switchgate], jwks_file: "$work/jwks.json", roles: [operator]}]
YAML
    port=$((20000 + RANDOM % 10000))
    "$gateway" serve --demo --config "$work/switchgate.yaml" --listen "127.0.0.1:$port" \
        --admin-listen "127.0.0.1:$((port + 1))" >"$work/gateway.log" 2>&1 &
    started+=($!)
    for _ in $(seq 100); do "$gateway" healthcheck --address "127.0.0.1:$port" >/dev/null && break; sleep 0.1; done
    nodes() { "$gateway" nodes --address "127.0.0.1:$port" --token-file "$1"; }
    nodes "$work/token" >/dev/null || die "a service account with a token for the gateway is refused"
    nodes "$work/other" >/dev/null && die "a token for another audience is let in"
    say "service account: its token for the gateway is let in, its other one is not"
else
    say "without a gateway for the tokens of service accounts (cargo build, or set SWITCHGATE)"
fi

for values in "$chart"/ci/*-values.yaml; do
    ns=ci-$(basename "$values" -values.yaml)
    "$KUBECTL" -n "$ns" delete pod --all --force --grace-period 0 >/dev/null 2>&1
    "$HELM" uninstall sg -n "$ns" >/dev/null
    # Without controllers, what is owned by the Deployment would stay; there is nothing such.
    [ -z "$(left "$ns" | grep -v '^pod/' || true)" ] || die "$ns: uninstall left $(left "$ns" | paste -sd' ')"
done
say "uninstall: nothing is left"
echo "apiserver: all passed"
