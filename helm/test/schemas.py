#!/usr/bin/env python3
"""Checks what the chart renders against the strict schemas of several versions of Kubernetes.

    helm/test/schemas.py            needs helm (PATH or HELM) and the package kubernetes-validate

Strict: an unknown field is an error. Kinds that are no part of Kubernetes itself are counted and left to
helm/test/apiserver.sh.
"""

import os
import pathlib
import shutil
import subprocess
import sys

VERSIONS = ["1.31", "1.33", "1.35", "1.37"]
FOREIGN = {"ServiceMonitor", "PrometheusRule", "GRPCRoute"}
CHART = pathlib.Path(__file__).resolve().parent.parent / "switchgate"


def main() -> int:
    helm = os.environ.get("HELM") or shutil.which("helm")
    if not helm:
        print("Skipped: the chart against the schemas of Kubernetes (helm is missing)")
        return 0
    try:
        import kubernetes_validate
        import yaml
    except ImportError:
        print("Skipped: the chart against the schemas of Kubernetes (pip install kubernetes-validate)")
        return 0

    wrong = checked = 0
    foreign = set()
    for version in VERSIONS:
        # That the schema is there and strict: else nothing below proves anything.
        try:
            bad = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "dta": {}}
            kubernetes_validate.validate(bad, version, strict=True)
            print(f"{version}: an unknown field was taken")
            wrong += 1
        except kubernetes_validate.ValidationError:
            pass
        for values in sorted(CHART.glob("ci/*-values.yaml")):
            command = [helm, "template", "sg", str(CHART), "-n", "voice", "-f", str(values)]
            command += ["--kube-version", f"{version}.0"]
            rendered = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            for thing in filter(None, yaml.safe_load_all(rendered)):
                if thing["kind"] in FOREIGN:
                    foreign.add(thing["kind"])
                    continue
                checked += 1
                try:
                    kubernetes_validate.validate(thing, version, strict=True)
                except kubernetes_validate.ValidationError as error:
                    wrong += 1
                    path = ".".join(str(part) for part in error.path)
                    name = f"{thing['kind']} {thing['metadata']['name']}"
                    print(f"{values.name} {version}: {name}: {path}: {error.message}")
    print(f"schemas: {checked} objects against {', '.join(VERSIONS)}: {wrong} wrong; not looked at: {sorted(foreign)}")
    return 1 if wrong or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
