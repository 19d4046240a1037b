# SPDX-License-Identifier: MIT
"""Whether a document is as a JSON schema says: of JSON Schema 2020-12 what
docs/schema/ uses. A keyword that is not known here is an error, so that no
schema promises what nobody looks at."""

import json
import os

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))), "docs", "schema")
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool,
         "integer": int}
REMARKS = {"$schema", "$comment", "$defs", "title"}


def _is(value, name):
    # In Python True is an int.
    return isinstance(value, TYPES[name]) and \
        (name == "boolean" or not isinstance(value, bool))


def _of_object(value, schema, root, path):
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{path}: no \"{name}\""
    for name, part in value.items():
        rule = known.get(name, schema.get("additionalProperties", True))
        if rule is False:
            yield f"{path}: \"{name}\" is not in the schema"
        elif rule is not True:
            yield from _check(part, rule, root, f"{path}.{name}")


def _check(value, schema, root, path):
    """Yields what is wrong."""
    for word, want in schema.items():
        if word == "$ref":
            part = root
            for name in want.removeprefix("#/").split("/"):
                part = part[name]
            yield from _check(value, part, root, path)
        elif word == "type":
            if not _is(value, want):
                yield f"{path}: {value!r} is no {want}"
        elif word == "const":
            if value != want or isinstance(value, bool):
                yield f"{path}: {value!r} is not {want!r}"
        elif word == "enum":
            if value not in want:
                yield f"{path}: {value!r} is none of {want}"
        elif word == "minimum":
            if _is(value, "integer") and value < want:
                yield f"{path}: {value} is less than {want}"
        elif word == "items":
            for i, item in enumerate(value if isinstance(value, list) else ()):
                yield from _check(item, want, root, f"{path}[{i}]")
        elif word in ("properties", "required", "additionalProperties"):
            continue
        elif word not in REMARKS:
            raise ValueError(f"{path}: the schema's {word} is not known here")
    if isinstance(value, dict):
        yield from _of_object(value, schema, root, path)


def _once(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"a name is there twice: {names}")
    return dict(pairs)


def read(text):
    """A document; a name that an object has twice is an error."""
    return json.loads(text, object_pairs_hook=_once)


def problems(value, schema):
    """What is wrong with a document, as sentences."""
    return list(_check(value, schema, schema, "$"))


def load(name):
    """One of docs/schema/."""
    with open(os.path.join(FOLDER, name + ".json"), encoding="utf-8") as f:
        return json.load(f)
