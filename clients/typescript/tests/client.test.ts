import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { connect, type ConnectOptions } from "../src/index.js";
import { serve } from "./fake.js";

test("tokens come from anywhere", async () => {
  const folder = await mkdtemp(join(tmpdir(), "switchgate-"));
  const tokenFile = join(folder, "token");
  await writeFile(tokenFile, "one\n");
  const options: ConnectOptions[] = [{ token: "one" }, { token: () => "one" }, { token: async () => "one" }, { tokenFile }];
  for (const each of options) {
    const fake = await serve({ getSession: () => ({}), subscribe: () => [{ cursor: "c1", message: gap }] }, each);
    await fake.client.sessions.getSession({});
    await fake.client.subscribe().next();
    await fake.end();
    assert.deepEqual(fake.authorized, ["Bearer one", "Bearer one"]);
  }
  await rm(folder, { recursive: true });
});

test("two tokens are one too many", () => {
  assert.throws(() => connect("localhost:1", { token: "a", tokenFile: "b" }), /tokenFile/);
});

const gap = { case: "gap", value: {} } as const;
