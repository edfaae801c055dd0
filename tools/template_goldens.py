#!/usr/bin/env python3
"""Goldens for the chat template interpreter: what transformers' apply_chat_template renders.

    tools/template_goldens.py --out tests/data/chat/template
        rewrites conversations.jsonl, snippets.jsonl and one NAME.jsonl for each templates/NAME.jinja there
    tools/template_goldens.py --out FOLDER --templates DIR-OR-FILE...
        the same for templates from elsewhere: *.jinja, tokenizer_config.json, *.gguf. Templates whose licence keeps
        them out of this repository are checked that way: ATELIER_TEMPLATE_GOLDENS=FOLDER build/release/bin/test_chat

Needs: pip install transformers jinja2 (and gguf for *.gguf). docs/templates.md says where templates can be had.

conversations.jsonl  tool schemas by name, then {"variables": everything the template sees} a line; in lists of tools,
                     names stand for schemas
NAME.jsonl           for each conversation in order {"sha": first 16 digits of the rendering's SHA-256, "text": the
                     rendering of some}, {"raised": what raise_exception said} or {"error": the exception's name}
snippets.jsonl       {"template", "variables", and "text", "raised" or "error"}
"""
import argparse
import datetime
import hashlib
import json
import pathlib
import random

import jinja2
from transformers.utils import chat_template_utils

TODAY = datetime.datetime(2025, 6, 28)
TEXT_EVERY = 85  # conversations of which the whole rendering is kept, to read when a digest differs


class FrozenDatetime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return TODAY


TEXTS = ["Hello", "  padded  ", "\n\nlines\nof text\n", "naïve 你好 🙂", "tab\tand\u00a0no-break\u3000", "{\"a\": 1}",
         "`code`\n\n    indented", "What is 2 + 2?", "", " ", "'quotes' and \"quotes\"", "<|im_end|>\n<|im_start|>system",
         "<think>not mine</think>after", "back\\slash \\n", "{{ 7 * 7 }} {% raw %}", "[INST] x [/INST]</s>", "ÄÖÜ ß İ",
         "<tool_response>\nx\n</tool_response>", "line\u2028separator\x0b\x1c", "</think>\n\nanswer", "a\r\nb\rc"]
SYSTEMS = ["You are a pirate.", "", "  Be brief.\n", "Du bist höflich.\n\n# Rules\n1. …", "detailed thinking on"]
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a \"place\".\nTwo lines.", "parameters": {
        "type": "object", "properties": {
            "place": {"type": "string", "description": "größe <b>&amp;</b>"},
            "unit": {"type": "string", "enum": ["C", "F"], "default": "C"},
            "days": {"type": "integer", "default": 1.0, "minimum": 1e-7}}, "required": ["place"]}}}
NOW = {"type": "function", "function": {"name": "now", "description": "The time.",
                                        "parameters": {"type": "object", "properties": {}}}}
NESTED = {"type": "function", "function": {
    "name": "book", "description": "Book a trip", "parameters": {
        "type": "object", "properties": {
            "legs": {"type": "array", "description": "stops", "items": {"type": "object", "properties": {
                "to": {"type": "string"}, "at": {"type": ["string", "null"], "nullable": True}}, "required": ["to"]}},
            "price": {"oneOf": [{"type": "number"}, {"type": "string"}]},
            "flags": {"type": "array", "items": {"type": "boolean"}}, "any": {}},
        "required": ["legs"]},
    "return": {"type": "string"}}}
BARE = {"type": "function", "function": {"name": "ping", "description": "no parameters at all"}}
TOOLS = [WEATHER, NOW, NESTED, BARE]
ARGUMENTS = [{"place": "Tōkyō", "days": 2}, {}, {"x": [1, 2.5, 1e30, None, True, {"y": []}]}, {"place": "a\"b\n"}]


def content(rng, tidy):
    kind = 0 if tidy else rng.random()
    if kind < 0.8:
        return rng.choice(TEXTS)
    if kind < 0.9:
        return [{"type": "text", "text": rng.choice(TEXTS)} for _ in range(rng.randint(1, 3))]
    return [{"type": "text", "text": rng.choice(TEXTS)}, {"type": "image"}]


def assistant_call(rng, turn, nine, tidy):
    calls = []
    for i in range(rng.choice([1, 1, 1, 2, 3])):
        call = {"type": "function", "function": {"name": rng.choice(["get_weather", "now", "book"]),
                                                 "arguments": rng.choice(ARGUMENTS)}}
        if tidy or rng.random() < 0.9:
            call["id"] = f"abcdef{turn % 10}{i}9" if nine else f"call_{turn}_{i}"
        if not tidy and rng.random() < 0.1:
            call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
        if not tidy and rng.random() < 0.05:
            del call["type"]
        calls.append(call)
    message = {"role": "assistant", "tool_calls": calls}
    kind = 0.3 + 0.6 * rng.random() if tidy else rng.random()
    if kind < 0.4:
        message["content"] = None
    elif kind < 0.7:
        message["content"] = ""
    elif kind < 0.9:
        message["content"] = "Let me see."
    return message


def tool_results(rng, message, tidy):
    for call in message["tool_calls"]:
        result = {"role": "tool", "content": rng.choice(TEXTS + ["{\"temperature\": 21.5}", "21.5"])}
        if "id" in call and (tidy or rng.random() < 0.9):
            result["tool_call_id"] = call["id"]
        if rng.random() < 0.6:
            result["name"] = call["function"]["name"]
        yield result


def conversation(rng):
    tools = rng.choice([None, None, None, None, [], [WEATHER], [WEATHER, NOW], [NOW, NESTED, WEATHER], [BARE, NESTED]])
    tidy = rng.random() < 0.7  # as a careful client would write it; the others show what a template refuses
    nine = rng.random() < (0.8 if tidy else 0.4)
    odd = not tidy and rng.random() < 0.4  # turns need not alternate
    messages = []
    if rng.random() < 0.5:
        messages.append({"role": "system" if tidy else rng.choice(["system", "developer"]), "content": rng.choice(SYSTEMS)})
    for turn in range(rng.randint(1, 4)):
        messages.append({"role": "user", "content": content(rng, tidy)})
        for _ in range(rng.choice([0, 1, 1, 2]) if tools else 0):
            call = assistant_call(rng, turn, nine, tidy)
            if rng.random() < 0.3:
                call["reasoning_content"] = rng.choice(TEXTS)
            messages.append(call)
            messages += tool_results(rng, call, tidy)
        if rng.random() < (0.4 if odd else 1):
            message = {"role": "assistant", "content": content(rng, tidy)}
            if rng.random() < 0.3:
                message["reasoning_content"] = rng.choice(TEXTS)
            elif rng.random() < 0.2:
                message["content"] = "<think>\nfirst\n</think>\n\nthen"
            messages.append(message)
    if rng.random() < 0.6 and messages[-1]["role"] == "assistant":
        messages.append({"role": "user", "content": rng.choice(TEXTS)})
    if not tidy and rng.random() < 0.2:
        messages.append({"role": rng.choice(["user", "critic", "assistant"])})  # no content
    variables = {"messages": chat_template_utils._alias_reasoning_fields(messages), "tools": tools, "documents": None,
                 "add_generation_prompt": rng.random() < 0.7, "bos_token": "<s>", "eos_token": "</s>"}
    if rng.random() < 0.05:
        del variables["bos_token"]
    extras = {"enable_thinking": [True, False], "thinking": [True, False], "date_string": ["26 Jul 2024"],
              "reasoning_effort": ["low", "high"], "tools_in_user_message": [True, False], "custom_tools": [[WEATHER]],
              "builtin_tools": [["browser", "python"], ["code_interpreter"]], "model_identity": ["You are Test."],
              "tool_choice": ["auto"], "xml_tools": [[NOW]], "python_tools": [[NOW]], "keep_past_thinking": [True]}
    for name, values in extras.items():
        if rng.random() < 0.12:
            variables[name] = rng.choice(values)
    return {"variables": variables}


def abbreviated(row):
    """Tool schemas by name."""
    variables = {name: [tool["function"]["name"] if tool in TOOLS else tool for tool in value]
                 if name.endswith("tools") and isinstance(value, list) else value
                 for name, value in row["variables"].items()}
    return {"variables": variables}


def outcome(template, variables):
    chat_template_utils.datetime = FrozenDatetime
    try:
        return {"text": chat_template_utils._compile_jinja_template(template).render(**variables)}
    except (jinja2.exceptions.UndefinedError, jinja2.exceptions.TemplateSyntaxError,
            jinja2.exceptions.SecurityError) as error:
        return {"error": type(error).__name__}
    except jinja2.exceptions.TemplateError as error:
        return {"raised": str(error.message)} if type(error) is jinja2.exceptions.TemplateError else {
            "error": type(error).__name__}
    except Exception as error:  # whatever Python raises for what a template does wrong
        return {"error": type(error).__name__}


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def template_goldens(template, conversations):
    for index, row in enumerate(conversations):
        result = outcome(template, row["variables"])
        if "text" in result:
            text = result["text"]
            result = {"sha": hashlib.sha256(text.encode()).hexdigest()[:16]}
            if index % TEXT_EVERY == 0 and len(text) < 6000:
                result["text"] = text
        yield result


def read_templates(paths):
    """(name, template) of every file given, and of every one below the folders given."""
    for path in paths:
        path = pathlib.Path(path)
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.suffix == ".jinja":
                yield file.stem, file.read_text(encoding="utf-8")
            elif file.name == "tokenizer_config.json":
                template = json.loads(file.read_text(encoding="utf-8")).get("chat_template")
                for entry in template if isinstance(template, list) else [{"name": "", "template": template}]:
                    if entry["template"]:
                        yield "-".join(filter(None, [file.parent.parent.name, entry["name"]])), entry["template"]
            elif file.suffix == ".gguf":
                import gguf
                field = gguf.GGUFReader(file).fields.get("tokenizer.chat_template")
                if field:
                    yield file.stem, field.contents()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--templates", nargs="*", help="default: OUT/templates")
    parser.add_argument("--conversations", type=int, default=340)
    given = parser.parse_args()
    rng = random.Random(20250628)
    conversations = [conversation(rng) for _ in range(given.conversations)]
    (given.out / "templates").mkdir(parents=True, exist_ok=True)
    write_lines(given.out / "conversations.jsonl",
                [{tool["function"]["name"]: tool for tool in TOOLS}] + [abbreviated(row) for row in conversations])
    for name, template in read_templates(given.templates or [given.out / "templates"]):
        name = name.replace(" ", "-")
        (given.out / "templates" / f"{name}.jinja").write_text(template, encoding="utf-8", newline="")
        rows = list(template_goldens(template, conversations))
        write_lines(given.out / f"{name}.jsonl", rows)
        print(f"{name}: {sum('sha' in row for row in rows)} rendered, {sum('raised' in row for row in rows)} raised, "
              f"{sum('error' in row for row in rows)} failed")

    from goldens.template_snippets import SNIPPETS, VARIABLES
    rows = []
    for snippet in SNIPPETS:
        template, variables = snippet if isinstance(snippet, tuple) else (snippet, VARIABLES)
        row = {"template": template, **outcome(template, variables)}
        if variables is not VARIABLES:
            row["variables"] = variables
        rows.append(row)
    write_lines(given.out / "snippets.jsonl", [{"variables": VARIABLES}] + rows)
    print(f"{len(rows)} snippets, of which {sum('text' in row for row in rows)} render")


if __name__ == "__main__":
    main()
