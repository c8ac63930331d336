/** What fits what is expected, and what a path leads to. */

/** A document of JSON. */
export type Json = unknown;

/** Says where a value differs from what is expected; empty where it fits. */
export function fit(expected: Json, actual: Json, path = ""): string {
  const differs = `${path}: expected ${text(expected)}, got ${text(actual)}`;
  if (Array.isArray(expected)) {
    const have: Json = actual ?? [];
    if (!Array.isArray(have) || (expected.length === 0 && have.length > 0)) return differs;
    let at = 0;
    for (const element of expected) {
      while (at < have.length && fit(element, have[at], path) !== "") at++;
      if (at === have.length) return differs;
      at++;
    }
    return "";
  }
  if (isObject(expected)) {
    if (!isObject(actual)) return differs;
    for (const [key, value] of Object.entries(expected)) {
      const why = fit(value, actual[key], path === "" ? key : `${path}.${key}`);
      if (why !== "") return why;
    }
    return "";
  }
  if (expected === "*" && actual !== null && actual !== undefined && actual !== "") return "";
  return expected === actual || (isDefault(expected) && isDefault(actual)) ? "" : differs;
}

/** What a path such as `response.sessions.0.sessionId` leads to; undefined where no text is there. */
export function look(document: Json, path: string): string | undefined {
  let at = document;
  for (const key of path.split(".")) {
    if (Array.isArray(at)) at = at[Number(key)];
    else if (isObject(at)) at = at[key];
    else return undefined;
  }
  return typeof at === "string" && at !== "" ? at : undefined;
}

/** Puts saved values in place of `${NAME}` in all texts. */
export function fill(value: Json, saved: ReadonlyMap<string, string>): Json {
  if (typeof value === "string") {
    return value.replace(/\$\{(\w+)\}/g, (whole, name: string) => saved.get(name) ?? whole);
  }
  if (Array.isArray(value)) return value.map((each) => fill(each, saved));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, fill(each, saved)]));
}

/** Whether a value is an object, and no array. */
export function isObject(value: Json): value is Record<string, Json> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A document in one line. */
export function text(value: Json): string {
  return JSON.stringify(value) ?? "nothing";
}

/** Whether protobuf JSON leaves a value out. */
function isDefault(value: Json): boolean {
  return value === undefined || value === null || value === false || value === 0 || value === "";
}
