#!/usr/bin/env python3
"""Holds compiled JSON Schemas against the JSON-Schema-Test-Suite and an independent validator (PyPI jsonschema).

For every schema of the suite that compiles: random outputs have to be valid, the suite's invalid instances have
to be rejected, and its valid ones accepted, where the form that is generated allows (compact, properties in the
order of the schema, numbers and strings in plain form). Counts what compiles and what is refused, and why.

  tools/json_schema_suite.py BINARY SUITE [--tokenizer FILE] [--samples N] [--draft NAME ...] [--verbose]

BINARY is bench_constraint_samples. SUITE is the folder with draft2020-12 and the others in it: `tests` of the
npm package json-schema-test-suite, or `json/tests` in the source distribution of PyPI's jsonschema. Needs the
packages jsonschema[format] and regex.
"""

import argparse
import collections
import json
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import jsonschema
import regex
from jsonschema import _keywords, validators

DRAFTS = {
    "draft4": jsonschema.Draft4Validator,
    "draft6": jsonschema.Draft6Validator,
    "draft7": jsonschema.Draft7Validator,
    "draft2019-09": jsonschema.Draft201909Validator,
    "draft2020-12": jsonschema.Draft202012Validator,
}


SPACES = r"\t-\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"


class EcmaRegex:
    """Stands in for `re` in the validator: patterns mean what ECMA-262 says."""

    @staticmethod
    def search(pattern: str, text: str):
        def piece(match) -> str:
            found = match.group(0)
            if found == "$":
                return r"\Z"
            if found.startswith(r"\c"):
                return regex.escape(chr(ord(found[2]) % 32))
            return {r"\s": f"[{SPACES}]", r"\S": f"[^{SPACES}]", r"\/": "/"}.get(found, found)

        def in_class(match) -> str:
            return match.group(0).replace(r"\s", SPACES)

        parts = regex.sub(r"\[(?:[^\]\\]|\\.)*\]|\\c.|\\.|\$", lambda m: in_class(m) if m.group(0)[0] == "[" else piece(m), pattern)
        return regex.search(parts, text, regex.ASCII)


_keywords.re = EcmaRegex


def ordered_names(schema: object, names: dict) -> dict:
    """Every member name in the schema, in the order of first appearance; lists of required names count too."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "properties" and isinstance(value, dict):
                for name in value:
                    names.setdefault(name, len(names))
            if key == "const" or key == "enum":
                for found in value if key == "enum" and isinstance(value, list) else [value]:
                    ordered_names({"properties": found} if isinstance(found, dict) else None, names)
        for value in schema.values():
            ordered_names(value, names)
        for name in schema.get("required", []) if isinstance(schema.get("required"), list) else []:
            if isinstance(name, str):
                names.setdefault(name, len(names))
    elif isinstance(schema, list):
        for value in schema:
            ordered_names(value, names)
    return names


def in_order(value: object, names: dict) -> object:
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: names.get(key, len(names)))
        return {key: in_order(value[key], names) for key in keys}
    if isinstance(value, list):
        return [in_order(item, names) for item in value]
    return value


def canonical(value: object, names: dict) -> str:
    return json.dumps(in_order(value, names), ensure_ascii=False, separators=(",", ":"))


def requests_of(suite: Path, draft: str, arguments) -> list:
    found = []
    folder = suite / draft
    files = sorted(folder.glob("*.json")) + sorted((folder / "optional").glob("*.json"))
    files += sorted((folder / "optional" / "format").glob("*.json"))
    for file in files:
        for case in json.loads(file.read_text(encoding="utf-8"), parse_float=lambda text: json.loads(text)):
            names = ordered_names(case["schema"], {})
            found.append({
                "file": f"{draft}/{file.relative_to(folder)}",
                "case": case,
                "request": {
                    "schema": json.dumps(case["schema"], ensure_ascii=False),
                    "instances": [canonical(test["data"], names) for test in case["tests"]],
                    "samples": arguments.samples,
                    "seed": len(found),
                    "unlisted": True,
                },
            })
    return found


def answers(binary: str, tokenizer: str | None, requests: list) -> list:
    lines = "".join(json.dumps(one["request"]) + "\n" for one in requests)
    command = [binary] + ([tokenizer] if tokenizer else [])
    done = subprocess.run(command, input=lines.encode("utf-8", "surrogatepass"), stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.decode("utf-8").split("\n") if line]


class Report:
    def __init__(self, verbose: bool) -> None:
        self.count = collections.Counter()
        self.reasons = collections.Counter()
        self.wrong = []
        self.verbose = verbose

    def refused(self, message: str) -> None:
        self.count["refused"] += 1
        place = re.match(r"schema: (?:#\S*?/)?([^/:]+): ", message)
        self.reasons[place.group(1) if place else message] += 1

    def sample(self, one: dict, text: str, validator) -> None:
        self.count["samples"] += 1
        schema = one["case"]["schema"]
        try:
            value = json.loads(text, parse_float=Decimal)
        except ValueError as error:
            self.wrong.append(f"{one['file']}: {json.dumps(schema)[:300]}: no JSON: {text[:200]!r}: {error}")
            return
        error = next(validator.iter_errors(value), None)
        if error is not None:
            self.wrong.append(f"{one['file']}: {json.dumps(schema)[:300]}: {text[:200]!r}: {str(error.message)[:200]}")

    def instances(self, one: dict, accepted: list) -> None:
        for test, yes, text in zip(one["case"]["tests"], accepted, one["request"]["instances"]):
            if yes and not test["valid"]:
                self.wrong.append(f"{one['file']}: {json.dumps(one['case']['schema'])[:300]}: accepts {text[:200]}")
            self.count["invalid" if not test["valid"] else "valid"] += 1
            self.count["invalid rejected" if not test["valid"] else "valid accepted"] += yes == test["valid"]
            if self.verbose and test["valid"] and not yes:
                print(f"  not in our form: {one['file']}: {json.dumps(one['case']['schema'])[:200]}: {text[:100]}")


def run(draft: str, arguments, report: Report) -> None:
    requests = requests_of(arguments.suite, draft, arguments)
    # Where a schema names no dialect, the draft it is tested in is meant.
    for one in requests:
        schema = one["case"]["schema"]
        if isinstance(schema, dict) and "$schema" not in schema:
            uri = DRAFTS[draft].META_SCHEMA.get("$schema")
            one["request"]["schema"] = json.dumps({"$schema": uri, **schema}, ensure_ascii=False)
    for one, answer in zip(requests, answers(arguments.binary, arguments.tokenizer, requests), strict=True):
        report.count["schemas"] += 1
        if "error" in answer:
            if "none can" in answer["error"] and not any(test["valid"] for test in one["case"]["tests"]):
                report.count["empty"] += 1  # rightly: no value meets them
            else:
                report.refused(answer["error"])
                if report.verbose:
                    print(f"  refused: {one['file']}: {answer['error']}")
            continue
        report.count["compiled"] += 1
        report.instances(one, answer["accepted"])
        report.count["unfinished"] += answer["unfinished"]
        if report.verbose and answer["unfinished"]:
            print(f"  unfinished: {answer['unfinished']}: {one['file']}: {json.dumps(one['case']['schema'])[:200]}")
        schema = one["case"]["schema"]
        cls = validators.validator_for(schema, default=DRAFTS[draft]) if isinstance(schema, dict) else DRAFTS[draft]
        # Numbers as they are written: 0.07 / 0.01 is 7.
        exact = json.loads(json.dumps(schema), parse_float=Decimal)
        validator = cls(exact, format_checker=cls.FORMAT_CHECKER)
        for text in answer["samples"]:
            report.sample(one, text, validator)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("suite", type=Path)
    parser.add_argument("--tokenizer")
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--draft", nargs="*", default=list(DRAFTS))
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    total = Report(arguments.verbose)
    for draft in arguments.draft:
        report = Report(arguments.verbose)
        run(draft, arguments, report)
        print(f"{draft}: {dict(report.count)}")
        print("  refused by keyword:", dict(report.reasons.most_common()))
        for line in report.wrong:
            print("  WRONG", line)
        total.count += report.count
        total.wrong += report.wrong
    print(f"all: {dict(total.count)}, {len(total.wrong)} wrong")
    sys.exit(1 if total.wrong or not total.count["samples"] else 0)


if __name__ == "__main__":
    main()
