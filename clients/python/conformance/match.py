"""What fits what is expected, and what a path leads to."""

import json
from typing import Any


def fit(expected: Any, actual: Any, path: str = "") -> str:
    """Says where a value differs from what is expected; empty where it fits."""
    differs = f"{path}: expected {text(expected)}, got {text(actual)}"
    if isinstance(expected, dict):
        if not isinstance(actual, dict):
            return differs
        for key, value in expected.items():
            why = fit(value, actual.get(key), f"{path}.{key}" if path else key)
            if why:
                return why
        return ""
    if isinstance(expected, list):
        have = [] if actual is None else actual
        if not isinstance(have, list) or not expected and have:
            return differs
        left = iter(have)
        return "" if all(any(not fit(each, other, path) for other in left) for each in expected) else differs
    if expected == "*" and actual is not None and actual != "":
        return ""
    same = type(expected) is type(actual) and expected == actual
    numbers = all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in (expected, actual))
    if same or numbers and expected == actual or is_default(expected) and is_default(actual):
        return ""
    return differs


def is_default(value: Any) -> bool:
    """Whether protobuf JSON leaves it out."""
    return value is None or isinstance(value, (bool, int, float, str)) and not value


def look(document: Any, path: str) -> str | None:
    """What a path such as `response.sessions.0.sessionId` leads to; None where no text is there."""
    at = document
    for key in path.split("."):
        if isinstance(at, dict):
            at = at.get(key)
        elif isinstance(at, list) and key.isdigit() and int(key) < len(at):
            at = at[int(key)]
        else:
            return None
    return at if isinstance(at, str) and at else None


def fill(value: Any, saved: dict[str, str]) -> Any:
    """Puts saved values in place of `${NAME}` in all texts."""
    if isinstance(value, str):
        for name, known in saved.items():
            value = value.replace("${" + name + "}", known)
        return value
    if isinstance(value, list):
        return [fill(each, saved) for each in value]
    if isinstance(value, dict):
        return {key: fill(each, saved) for key, each in value.items()}
    return value


def text(value: Any) -> str:
    """A document in one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
