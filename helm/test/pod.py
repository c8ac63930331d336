#!/usr/bin/env python3
"""Plays the kubelet for the guide's values: runs the pods that the chart renders, as they are rendered.

    helm/test/pod.py [BINARY]       needs root, helm (PATH or HELM), openssl, unshare, PyYAML

The gateway's container and those of `helm test` run in the root file system of the image, with the
arguments, environment and files of their specs, as uid 65532 with a read-only root, in a network of their
own, against three simulated FreeSWITCHes under the names of the guide. Secrets are made as the guide does.
"""

import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
CHART = HERE.parent / "switchgate"
NAMESPACE = "telephony"
ISSUER = "https://kubernetes.default.svc.cluster.local"
USER = 65532
INSIDE = """
set -e
mount --bind "$0" "$0"
mount -t proc proc "$0/proc"
mount -o remount,bind,ro "$0"
exec setpriv --no-new-privs chroot --userspec=65532:65532 --groups=65532 "$0" "$@"
"""


def run(*command, **more):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, **more).stdout


def skip(why):
    print(f"Skipped: the chart's pods in the image's root file system ({why})")
    sys.exit(0)


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def certificates(work):
    """The Secret of TLS: an authority, and a certificate for the service."""
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run("openssl", "req", "-x509", *curve, "-keyout", work / "ca.key", "-out", work / "ca.crt", "-days", "2",
        "-subj", "/CN=test", "-addext", "keyUsage=critical,keyCertSign")
    run("openssl", "req", "-new", *curve, "-keyout", work / "tls.key", "-out", work / "tls.csr", "-subj", "/CN=x")
    names = work / "names"
    names.write_text(f"subjectAltName=DNS:switchgate.{NAMESPACE}.svc,DNS:switchgate-headless.{NAMESPACE}.svc\n")
    run("openssl", "x509", "-req", "-in", work / "tls.csr", "-CA", work / "ca.crt", "-CAkey", work / "ca.key",
        "-CAcreateserial", "-days", "1", "-extfile", names, "-out", work / "tls.crt")
    return {name: (work / name).read_bytes() for name in ("tls.crt", "tls.key", "ca.crt")}


def tokens(work):
    """The keys of the cluster's issuer, and a token of a service account."""
    key = work / "issuer.key"
    run("openssl", "genrsa", "-out", key, "2048")
    modulus = bytes.fromhex(run("openssl", "rsa", "-in", key, "-noout", "-modulus").decode().strip().split("=")[1])
    jwk = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k", "n": base64url(modulus), "e": "AQAB"}
    head = {"alg": "RS256", "kid": "k"}
    claims = {"iss": ISSUER, "aud": ["switchgate"], "exp": int(time.time()) + 600,
              "sub": f"system:serviceaccount:{NAMESPACE}:switchgate-test"}
    signed = ".".join(base64url(json.dumps(part).encode()) for part in (head, claims))
    signature = run("openssl", "dgst", "-sha256", "-sign", key, input=signed.encode())
    return json.dumps({"keys": [jwk]}).encode(), f"{signed}.{base64url(signature)}".encode()


def mount(root, pod, container, objects):
    """Puts the files of a container's volumes where it wants them, readable for its group alone."""
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    for place in container.get("volumeMounts", []):
        volume = volumes[place["name"]]
        sources = volume["projected"]["sources"] if "projected" in volume else [volume]
        for source in sources:
            kind = "secret" if "secret" in source else "configMap"
            named = source[kind]
            data = objects[kind, named.get("name") or named["secretName"]]
            for item in named["items"]:
                file = root / place["mountPath"].lstrip("/") / item["path"]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data[item["key"]])
                os.chown(file, 0, USER)
                file.chmod(0o440)


def environment(container):
    return {one["name"]: one["value"] for one in container.get("env", [])}


def inside(root, container):
    arguments = ["/usr/local/bin/switchgate", *container["args"]]
    command = ["unshare", "--mount", "--pid", "--fork", "bash", "-c", INSIDE, root, *arguments]
    paths = {"PATH": os.environ["PATH"]}
    return [str(part) for part in command], {**paths, **environment(container)}


def probe(container, name):
    port = {one["name"]: one["containerPort"] for one in container["ports"]}["admin"]
    url = f"http://127.0.0.1:{port}{container[name]['httpGet']['path']}"
    try:
        return urllib.request.urlopen(url, timeout=container[name]["timeoutSeconds"]).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def until(container, name, status):
    begin = time.monotonic()
    while probe(container, name) != status:
        if time.monotonic() - begin > 20:
            sys.exit(f"pod: FAILED: {name} is not {status} but {probe(container, name)}")
        time.sleep(0.05)
    return time.monotonic() - begin


def main():
    binary = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "target/debug/switchgate").resolve()
    helm = os.environ.get("HELM") or shutil.which("helm")
    if not helm:
        skip("helm is missing")
    if os.geteuid() != 0:
        skip("it needs root")
    if not binary.exists():
        skip(f"{binary} is missing")
    for tool in ("openssl", "unshare", "setpriv", "chroot", "ip", "strip"):
        if not shutil.which(tool):
            skip(f"{tool} is missing")
    try:
        import yaml
    except ImportError:
        skip("pip install pyyaml")
    if "POD_NETWORK" not in os.environ:
        if subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], stderr=subprocess.DEVNULL).returncode:
            skip("this machine gives no namespaces")
        os.environ["POD_NETWORK"] = "own"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    run("ip", "link", "set", "lo", "up")

    work = pathlib.Path(tempfile.mkdtemp())
    started = []
    try:
        play(yaml, helm, binary, work, started)
    finally:
        for process in started:
            process.kill()
        shutil.rmtree(work)


def play(yaml, helm, binary, work, started):
    values = CHART / "ci/11-guide-values.yaml"
    rendered = run(helm, "template", "switchgate", CHART, "-n", NAMESPACE, "-f", values, "--kube-version", "1.34.0")
    things = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(rendered) if one}
    pod = things["Deployment", "switchgate"]["spec"]["template"]["spec"]
    gateway = pod["containers"][0]
    testers = things["Pod", "switchgate-test"]["spec"]

    keys, token = tokens(work)
    configuration = things["ConfigMap", "switchgate"]["data"]
    objects = {
        ("configMap", "switchgate"): {name: text.encode() for name, text in configuration.items()},
        ("secret", "freeswitch-esl"): {"password": b"of the guide"},
        ("secret", "switchgate-tls"): certificates(work),
        ("configMap", "cluster-keys"): {"jwks.json": keys},
        ("secret", "switchgate-test"): {"token": token},
    }
    root = work / "root"
    run(HERE.parent.parent / "deploy/container/rootfs.sh", binary, root)
    mount(root, pod, gateway, objects)
    for container in testers["containers"]:
        mount(root, testers, container, objects)
    hosts = [f"127.0.0.1 switchgate.{NAMESPACE}.svc"]
    nodes = re.findall(r"address: (\S+):8021", configuration["switchgate.yaml"])
    for at, name in enumerate(nodes):
        hosts.append(f"127.0.1.{at + 1} {name}")
    (root / "etc/hosts").write_text("\n".join(hosts) + "\n")

    sims = []
    for at in range(len(nodes)):
        command = [binary, "sim", "--listen", f"127.0.1.{at + 1}:8021", "--password", "of the guide"]
        sims.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    started.extend(sims)
    log = open(work / "log", "wb")
    command, variables = inside(root, gateway)
    parent = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
    try:
        until(gateway, "startupProbe", 200)
        waited = until(gateway, "readinessProbe", 200)
        process = run("ps", "-o", "pid=", "--ppid", str(parent.pid)).decode().strip()
        print(f"pod: {len(nodes)} nodes; started, live {probe(gateway, 'livenessProbe')}, ready {waited:.1f} s later")
        for container in testers["containers"]:
            command, variables = inside(root, container)
            told = subprocess.run(command, env=variables, capture_output=True, text=True)
            print(f"pod: helm test, {container['name']}: exit code {told.returncode}\n{told.stdout.rstrip()}")
            if told.returncode or (container["name"] == "nodes" and told.stdout.count("READY") < 1):
                sys.exit(f"pod: FAILED: {told.stdout}{told.stderr}")
        for sim in sims:
            sim.kill()
            sim.wait()
        until(gateway, "readinessProbe", 503)
        live = probe(gateway, "livenessProbe")
        print(f"pod: without any FreeSWITCH: ready {probe(gateway, 'readinessProbe')}, live {live}")
        if live != 200:
            sys.exit("pod: FAILED: liveness depends on FreeSWITCH")
        begin = time.monotonic()
        run("kill", "-TERM", process)
        code = parent.wait(timeout=pod["terminationGracePeriodSeconds"])
        print(f"pod: SIGTERM: exit code {code} after {time.monotonic() - begin:.1f} s of {pod['terminationGracePeriodSeconds']}")
        if code:
            sys.exit("pod: FAILED: it was not an orderly stop")
    except BaseException:
        sys.stderr.write((work / "log").read_text()[-4000:])
        raise
    finally:
        if parent.poll() is None:
            subprocess.run(["kill", "-KILL", *run("ps", "-o", "pid=", "--ppid", str(parent.pid)).decode().split()])
    print("pod: all passed")


if __name__ == "__main__":
    main()
