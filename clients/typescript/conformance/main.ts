/**
 * Runs clients/conformance/scenario.json against a gateway: runner ADDRESS SCENARIO [CASE...]. The README beside
 * the scenario tells its format and what is printed.
 */
import { readFileSync } from "node:fs";

import { run, type Step } from "./steps.js";

interface Scenario {
  readonly tokens: Record<string, string>;
  readonly cases: readonly { readonly name: string; readonly steps: readonly Step[] }[];
}

const [address, path, ...wanted] = process.argv.slice(2);
if (address === undefined || path === undefined) {
  console.error("usage: runner ADDRESS SCENARIO [CASE...]");
  process.exit(64);
}
const scenario = JSON.parse(readFileSync(path, "utf8")) as Scenario;
let passed = 0;
let failed = 0;
for (const { name, steps } of scenario.cases) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  try {
    await run(address, scenario.tokens, steps);
    console.log(`ok ${name}`);
    passed++;
  } catch (thrown) {
    console.log(`FAIL ${name}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    failed++;
  }
}
console.log(`${passed} ok, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
