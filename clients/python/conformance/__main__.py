"""Runs clients/conformance/scenario.json against a gateway: runner ADDRESS SCENARIO [CASE...]

The README beside the scenario tells its format and what is printed.
"""

import asyncio
import json
import sys
from pathlib import Path

from conformance.steps import Failed, run


async def main(address: str, scenario: str, wanted: list[str]) -> int:
    """Runs the cases and says how many failed by the exit status."""
    everything = json.loads(Path(scenario).read_text())
    passed = failed = 0
    for case in everything["cases"]:
        if wanted and case["name"] not in wanted:
            continue
        try:
            await run(address, everything["tokens"], case)
        except Failed as why:
            print(f"FAIL {case['name']}: {why}", flush=True)
            failed += 1
        else:
            print(f"ok {case['name']}", flush=True)
            passed += 1
    print(f"{passed} ok, {failed} failed")
    return 1 if failed or not passed else 0


if len(sys.argv) < 3:
    print("usage: runner ADDRESS SCENARIO [CASE...]", file=sys.stderr)
    sys.exit(64)
sys.exit(asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:])))
