# SPDX-License-Identifier: MIT
"""Tests of schema.py: what it lets through, and what it does not."""

import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import schema  # noqa: E402

SCHEMA = {
    "type": "object", "required": ["n", "list"], "additionalProperties": False,
    "properties": {"n": {"$ref": "#/$defs/count"}, "is": {"type": "boolean"},
                   "list": {"type": "array", "items": {"type": "string"}},
                   "kind": {"enum": ["a", "b"]}, "v": {"const": 1},
                   "rest": {"type": "object", "additionalProperties":
                            {"$ref": "#/$defs/count"}}},
    "$defs": {"count": {"type": "integer", "minimum": 0}}}
GOOD = {"n": 1, "list": ["x"], "is": True, "kind": "a", "v": 1,
        "rest": {"any": 2}}


class Schema(unittest.TestCase):
    def wrong(self, **changes):
        value = {**GOOD, **changes}
        found = schema.problems(value, SCHEMA)
        self.assertEqual(len(found), 1, found)
        return found[0]

    def test_right(self):
        self.assertEqual(schema.problems(GOOD, SCHEMA), [])

    def test_wrong(self):
        self.assertEqual(self.wrong(n=-1), "$.n: -1 is less than 0")
        self.assertEqual(self.wrong(n=True), "$.n: True is no integer")
        self.assertEqual(self.wrong(n=1.5), "$.n: 1.5 is no integer")
        self.assertEqual(self.wrong(list=["x", 2]),
                         "$.list[1]: 2 is no string")
        self.assertEqual(self.wrong(list={}), "$.list: {} is no array")
        self.assertEqual(self.wrong(**{"is": 1}), "$.is: 1 is no boolean")
        self.assertIn("none of", self.wrong(kind="c"))
        self.assertIn("is not 1", self.wrong(v=2))
        self.assertIn("is not 1", self.wrong(v=True))
        self.assertEqual(self.wrong(rest={"any": "2"}),
                         "$.rest.any: '2' is no integer")
        self.assertEqual(self.wrong(more=1),
                         '$: "more" is not in the schema')

    def test_absent(self):
        self.assertEqual(schema.problems({"n": 0}, SCHEMA), ['$: no "list"'])

    def test_no_object(self):
        self.assertEqual(schema.problems([], SCHEMA), ["$: [] is no object"])

    def test_unknown_keyword(self):
        with self.assertRaisesRegex(ValueError, "maximum"):
            schema.problems(1, {"maximum": 2})

    def test_twice(self):
        with self.assertRaisesRegex(ValueError, "twice"):
            schema.read('{"a": 1, "a": 2}')

    def test_all_schemas_are_understood(self):
        for name in ("status", "memory", "disk", "net"):
            found = schema.problems({}, schema.load(name))
            self.assertIn('$: no "version"', found, name)


if __name__ == "__main__":
    unittest.main()
