#!/usr/bin/env python3
"""Goldens for src/chat/harmony*, made by OpenAI's own renderer (openai-harmony 0.0.8).

    tools/harmony_goldens.py --tokenizer tokenizer.json --suite tests/test_harmony.py --out tests/data/chat/harmony.jsonl
    tools/harmony_goldens.py --tokenizer tokenizer.json --suite … --count 2000 --full FILE

--tokenizer: gpt-oss's tokenizer.json; its ranks are written out as the o200k_base file that the library loads,
which checks their SHA-256 itself. --suite: the library's own tests/test_harmony.py, next to its test-data; it is
run, and every conversation it renders or parses is recorded. --out writes the small committed sample, --full all
of it with the ids; `ATELIER_HARMONY_GOLDENS=FILE ATELIER_HARMONY_TOKENIZER=tokenizer.json test_chat
--gtest_filter='Harmony*'` then compares id by id.

One JSON object a line. `parts` is a sequence of ids: control tokens as numbers, the text between them decoded.
  {"kind": "render", "messages": [openai-harmony's JSON], "drop": bool, "prompt": bool, "parts": […]}
  {"kind": "body",   "body": a Chat Completions body, "parts": […]}
  {"kind": "parse",  "parts": […], "messages": [{"role", "channel", …}]}
"drop": reasoning of finished turns is removed first. There we follow the format page (every finished turn), not
the library (only the first one, and none while a tool call is open); docs/models/harmony.md says why.
"""
import argparse
import base64
import hashlib
import importlib.util
import json
import os
import random
import sys
import tempfile
import types

FIRST_CONTROL = 199998


def write_ranks(tokenizer_json, folder):
    """tokenizer.json spells bytes as printable characters (GPT-2's table); the ranks file wants base64."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spelled = {chr(b): b for b in printable}
    spelled.update({chr(256 + n): b for n, b in enumerate(b for b in range(256) if b not in printable)})
    with open(tokenizer_json, encoding="utf-8") as file:
        vocab = json.load(file)["model"]["vocab"]
    path = os.path.join(folder, "o200k_base.tiktoken")
    with open(path, "wb") as file:
        for text, rank in sorted(vocab.items(), key=lambda item: item[1]):
            if rank < FIRST_CONTROL:
                file.write(base64.b64encode(bytes(spelled[c] for c in text)) + b" %d\n" % rank)
    with open(path, "rb") as file:
        print("o200k_base.tiktoken: sha256", hashlib.sha256(file.read()).hexdigest(), file=sys.stderr)


def parts_of(encoding, ids):
    parts, run = [], []
    for token in [*ids, None]:
        if token is not None and token < FIRST_CONTROL:
            run.append(token)
            continue
        if run:
            parts.append(encoding.decode_utf8(run))
            run = []
        if token is not None:
            parts.append(token)
    return parts


def without_finished_analysis(messages):
    """The format page's rule: analysis goes once its turn ended in a final answer and the user spoke again."""
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    finals = [i for i, m in enumerate(messages)
              if m["role"] == "assistant" and m.get("channel") == "final" and users and i < users[-1]]
    last = finals[-1] if finals else -1
    return [m for i, m in enumerate(messages) if i > last or m.get("channel") != "analysis"]


class Recorder:
    def __init__(self, harmony):
        self.encoding = harmony.load_harmony_encoding(harmony.HarmonyEncodingName.HARMONY_GPT_OSS)
        self.inner = self.encoding._inner
        self.cases = []
        self.n_differ = 0

    def add(self, case, ids):
        case["parts"] = parts_of(self.encoding, ids)
        case["ids"] = list(ids)
        self.cases.append(case)

    def rendered(self, messages, drop, prompt):
        def ask(messages, auto_drop):
            text = json.dumps({"messages": messages})
            config = {"auto_drop_analysis": auto_drop}
            if prompt:
                return self.inner.render_conversation_for_completion(text, "assistant", config)
            return self.inner.render_conversation(text, config)

        if not drop:
            return ask(messages, False)
        ids = ask(without_finished_analysis(messages), False)
        self.n_differ += ids != ask(messages, True)
        return ids

    def render(self, messages, drop, prompt):
        case = {"kind": "render", "messages": messages, "drop": drop, "prompt": prompt}
        self.add(case, self.rendered(messages, drop, prompt))

    def body(self, body, messages):
        self.add({"kind": "body", "body": body}, self.rendered(messages, True, True))

    def parse(self, ids, strict=True):
        found = json.loads(self.inner.parse_messages_from_completion_tokens(list(ids), "assistant", strict))
        messages = []
        for m in found:
            content = m["content"] if isinstance(m["content"], str) else "".join(c["text"] for c in m["content"])
            fields = {k: m[k] for k in ("role", "channel", "recipient", "content_type") if m.get(k)}
            messages.append({**fields, "content": content})
        self.add({"kind": "parse", "messages": messages}, ids)


def record_suite(harmony, recorder, path):
    """Runs the library's own tests with its renderer replaced by one that also records."""
    kinds = harmony.HarmonyEncoding
    plain = {name: getattr(kinds, name) for name in (
        "render_conversation", "render_conversation_for_completion", "render",
        "parse_messages_from_completion_tokens")}

    def drops(config):
        return True if config is None else config.auto_drop_analysis

    def conversation(self, convo, config=None):
        recorder.render(json.loads(convo.to_json())["messages"], drops(config), False)
        return plain["render_conversation"](self, convo, config)

    def completion(self, convo, role, config=None):
        ids = plain["render_conversation_for_completion"](self, convo, role, config)
        recorder.render(json.loads(convo.to_json())["messages"], drops(config), True)
        return ids

    def one(self, message, options=None):
        recorder.render([message.to_dict()], False, False)
        return plain["render"](self, message, options)

    def parse(self, tokens, role=None, *, strict=True):
        found = plain["parse_messages_from_completion_tokens"](self, tokens, role, strict=strict)
        # Without a role the text begins with <|start|>assistant, which our parser is given as well.
        try:
            if role is not None:
                recorder.parse(tokens, strict)
            elif len(tokens) > 2 and tokens[1] == 173781:
                recorder.parse(tokens[2:], strict)
        except harmony.HarmonyError:
            pass
        return found

    for name, function in (("render_conversation", conversation), ("render_conversation_for_completion", completion),
                           ("render", one), ("parse_messages_from_completion_tokens", parse)):
        setattr(kinds, name, function)
    harmony.load_harmony_encoding = lambda _name: recorder.encoding  # loading takes a second each time
    sys.modules.setdefault("pytest", fake_pytest())
    spec = importlib.util.spec_from_file_location("suite", path)
    suite = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(suite)
    for name, test in list(vars(suite).items()):
        if not name.startswith("test_"):
            continue
        for values in getattr(test, "cases", [()]):
            try:
                test(*values)
            except (AssertionError, KeyError) as error:
                sys.exit(f"{name} of the library's own suite fails here: {error!r}")
    for name, function in plain.items():
        setattr(kinds, name, function)


def fake_pytest():
    """As much of pytest as the suite uses, so that it need not be installed."""
    module = types.ModuleType("pytest")

    def parametrize(_names, values):
        def mark(test):
            test.cases = [v if isinstance(v, tuple) else (v,) for v in values]
            return test
        return mark

    class Raises:
        def __init__(self, kind, match=None):
            self.kind = kind

        def __enter__(self):
            return self

        def __exit__(self, kind, value, trace):
            return kind is not None and issubclass(kind, self.kind)

    module.mark = types.SimpleNamespace(parametrize=parametrize)
    module.raises = Raises
    return module


WORDS = ("alpha beta gamma delta Tokyo 2025-06-28 3.14 naïve 你好 мир שלום 🙂 👩‍👩‍👧 <|end|> <|start|>assistant "
         "{\"a\":1} \\n `code` // x  y\tz #heading to=functions.f null").split(" ")


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def chance(self, p):
        return self.random.random() < p

    def text(self, n=8):
        words = [self.random.choice(WORDS) for _ in range(self.random.randint(1, n))]
        glue = self.random.choice([" ", " ", " ", "\n", "\n\n", "", "\r\n"])
        return glue.join(words) or "."  # an empty text of a body counts as absent

    def line(self):
        return self.text(5).replace("\r", " ").replace("\n", " ")

    def name(self):
        return self.random.choice(["get_weather", "lookup", "f", "search_files", "a1", "Get-Time", "x_y_z"])

    def scalar(self):
        return self.random.choice([0, -1, 20, 1.5, 1.0, 1e-7, 1e30, 123456789012345680.0, True, False, None, [], {},
                                   [1, "a"], {"k": [1.25, None]}, "text", "a", 'quo"te', 2**53, 0.1, 1e16, 1e-5])

    def schema(self, depth=0):
        pick = self.random.random()
        if depth < 3 and pick < 0.12:
            out = {"oneOf": [self.schema(depth + 1) for _ in range(self.random.randint(0 if depth else 1, 3))]}
        elif depth < 3 and pick < 0.35:
            out = {"type": "object", "properties": self.properties(depth + 1)}
            if self.chance(0.5) and out["properties"]:
                names = list(out["properties"])
                out["required"] = self.random.sample(names, self.random.randint(0, len(names)))
        elif depth < 3 and pick < 0.5:
            out = {"type": "array"}
            if self.chance(0.8):
                out["items"] = self.schema(depth + 1)
        elif pick < 0.6:
            out = {"type": self.random.choice([["number", "string"], ["integer", "null"], [], ["string"]])}
        elif pick < 0.7:
            out = {"type": "string", "enum": self.random.choice([["a", "b"], ["celsius", "fahrenheit"], [], [1, "a"]])}
        elif pick < 0.75:
            out = self.random.choice([{}, {"anyOf": [{"type": "string"}]}, {"$ref": "#/x"}, {"enum": ["a"]}])
        else:
            out = {"type": self.random.choice(["string", "number", "integer", "boolean", "null", "string"])}
        for key, p, make in (("description", 0.4, self.description), ("title", 0.1, self.line),
                             ("default", 0.25, self.scalar), ("nullable", 0.1, lambda: self.chance(0.7)),
                             ("examples", 0.08, lambda: ["x", 1, "two"][: self.random.randint(0, 3)])):
            if self.chance(p):
                out[key] = make()
        return out

    def description(self):
        return self.text(6) if self.chance(0.15) else self.line()

    def properties(self, depth):
        names = self.random.sample(["path", "query", "n", "mode", "options", "location", "größe"],
                                   self.random.randint(0, 3))
        return {name: self.schema(depth) for name in names}

    def tool(self, name):
        out = {"name": name, "description": self.random.choice(["", self.line(), self.text(8), "One.\nTwo.\n"])}
        if self.chance(0.8):
            top = {"type": "object", "properties": self.properties(0)}
            if self.chance(0.3):
                top["required"] = list(top["properties"])[:1]
            if self.chance(0.15):
                top["description"] = self.line()
            out["parameters"] = top if self.chance(0.93) else self.schema()
        return out

    def tools(self):
        names = self.random.sample(["get_weather", "lookup", "f", "search_files", "a1", "x_y_z"],
                                   self.random.randint(1, 3))
        return [self.tool(name) for name in names]

    # Conversations of openai-harmony.
    def system(self, harmony):
        content = harmony.SystemContent.new()
        if self.chance(0.6):
            content = content.with_conversation_start_date(f"2025-0{self.random.randint(1, 9)}-28")
        if self.chance(0.6):
            content = content.with_reasoning_effort(self.random.choice(list(harmony.ReasoningEffort)))
        if self.chance(0.15):
            content = content.with_browser_tool()
        if self.chance(0.15):
            content = content.with_python_tool()
        if self.chance(0.1):
            content = content.with_model_identity(self.line())
        if self.chance(0.1):
            content.knowledge_cutoff = self.random.choice([None, "2021-01"])
        if self.chance(0.1):
            content = content.with_required_channels(["analysis", "final"])
        if self.chance(0.05):
            content.channel_config = harmony.ChannelConfig(valid_channels=["final"], channel_required=False)
        return {"role": "system", "content": [content.to_dict()]}

    def developer(self, tools):
        content = {"type": "developer_content"}
        if self.chance(0.8):
            content["instructions"] = self.text(12)
        if tools:
            spaces = {"functions": {"name": "functions", "tools": tools}}
            if self.chance(0.1):
                spaces["extra"] = {"name": "extra", "description": self.text(6), "tools": [self.tool("g")]}
            content["tools"] = spaces
        return {"role": "developer", "content": [content]}

    def turns(self, tools):
        out = []
        for _ in range(self.random.randint(1, 3)):
            out.append({"role": "user", "content": self.text(15)})
            for _ in range(self.random.randint(0, 2) if tools else 0):
                name = self.random.choice(tools)["name"]
                if self.chance(0.7):
                    out.append({"role": "assistant", "channel": "analysis", "content": self.text()})
                if self.chance(0.2):
                    out.append({"role": "assistant", "channel": "commentary", "content": self.text()})
                kind = self.random.choice(["<|constrain|>json", "json", "<|constrain|> json", None])
                call = {"role": "assistant", "channel": self.random.choice(["commentary", "analysis"]),
                        "recipient": f"functions.{name}", "content": json.dumps({"q": self.text()})}
                if kind:
                    call["content_type"] = kind
                out.append(call)
                out.append({"role": "tool", "name": f"functions.{name}", "recipient": "assistant",
                            "channel": "commentary", "content": self.text(12)})
            if self.chance(0.6):
                out.append({"role": "assistant", "channel": "analysis", "content": self.text()})
            if self.chance(0.85):
                out.append({"role": "assistant", "channel": "final", "content": self.text(12)})
        return out[: self.random.randint(1, len(out))] if self.chance(0.5) else out

    def conversation(self, harmony):
        tools = self.tools() if self.chance(0.5) else []
        out = [self.system(harmony)] if self.chance(0.9) else []
        if tools or self.chance(0.5):
            out.append(self.developer(tools))
        return out + self.turns(tools)

    # Chat Completions bodies, and the harmony conversation that our documentation says they become.
    def body(self, harmony):
        body = {"messages": []}
        system = harmony.SystemContent.new()
        if self.chance(0.7):
            body["reasoning_effort"] = self.random.choice(["low", "medium", "high"])
            system = system.with_reasoning_effort(harmony.ReasoningEffort(body["reasoning_effort"].capitalize()))
        if self.chance(0.7):
            body["chat_template_kwargs"] = {"conversation_start_date": "2025-06-28"}
            system = system.with_conversation_start_date("2025-06-28")
        tools = self.tools() if self.chance(0.6) else []
        if tools:
            body["tools"] = [{"type": "function", "function": tool} for tool in tools]
        if self.chance(0.1):
            body.setdefault("tools", []).append({"type": "browser"})
            system = system.with_browser_tool()
        instructions = [self.text(12) for _ in range(self.random.choice([0, 1, 1, 1, 2]))]
        body["messages"] += [{"role": self.random.choice(["system", "developer"]), "content": t} for t in instructions]
        messages = [{"role": "system", "content": [system.to_dict()]}]
        developer = {"type": "developer_content"}
        if instructions:
            developer["instructions"] = "\n\n".join(instructions)
        if tools:
            developer["tools"] = {"functions": {"name": "functions", "tools": tools}}
        if len(developer) > 1:
            messages.append({"role": "developer", "content": [developer]})
        self.body_turns(tools, body["messages"], messages)
        return body, messages

    def body_turns(self, tools, chat, messages):
        n_calls = 0
        for _ in range(self.random.randint(1, 3)):
            text = self.text(15)
            parts = [{"type": "text", "text": text}] if self.chance(0.2) else text
            chat.append({"role": "user", "content": parts})
            messages.append({"role": "user", "content": text})
            for _ in range(self.random.randint(0, 2) if tools else 0):
                name, said, thought = self.random.choice(tools)["name"], self.text(), self.text()
                arguments, result = json.dumps({"q": self.text()}), self.text(12)
                n_calls += 1
                call = {"id": f"call_{n_calls}", "type": "function", "function": {"name": name, "arguments": arguments}}
                turn = {"role": "assistant", "content": None, "tool_calls": [call]}
                if self.chance(0.7):
                    turn["reasoning_content"] = thought
                    messages.append({"role": "assistant", "channel": "analysis", "content": thought})
                if self.chance(0.2):
                    turn["content"] = said
                    messages.append({"role": "assistant", "channel": "commentary", "content": said})
                chat += [turn, {"role": "tool", "tool_call_id": f"call_{n_calls}", "content": result}]
                messages.append({"role": "assistant", "channel": "commentary", "recipient": f"functions.{name}",
                                 "content_type": "<|constrain|>json", "content": arguments})
                messages.append({"role": "tool", "name": f"functions.{name}", "recipient": "assistant",
                                 "channel": "commentary", "content": result})
            if self.chance(0.8):
                answer, thought = self.text(12), self.text()
                turn = {"role": "assistant", "content": answer}
                if self.chance(0.4):
                    turn["reasoning"] = thought
                    messages.append({"role": "assistant", "channel": "analysis", "content": thought})
                chat.append(turn)
                messages.append({"role": "assistant", "channel": "final", "content": answer})

    def sampled(self, encoding):
        """What a model may emit, well enough formed for the library's strict parser."""
        out = ""
        for _ in range(self.random.randint(0, 2)):
            kind = self.random.choice(["<|channel|>analysis", "<|channel|>commentary"])
            out += f"{kind}<|message|>{self.plain()}<|end|><|start|>assistant"
        if self.chance(0.5):
            to = f" to=functions.{self.name()}"
            kind = self.random.choice(["<|constrain|>json", " <|constrain|>json", " json", ""])
            head = self.random.choice([f"{to}<|channel|>commentary{kind}", f"<|channel|>commentary{to}{kind}"])
            out += f'{head}<|message|>{{"q": "{self.plain()}"}}<|call|>'
        else:
            out += f"<|channel|>final<|message|>{self.plain()}" + self.random.choice(["<|return|>", "<|end|>", ""])
        return encoding.encode(out, allowed_special="all")

    def plain(self):
        return self.text(10).replace("<|", "<¦")


def small_enough(case):
    return len(json.dumps(case["parts"])) < 2500


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--tokenizer", required=True)
    options.add_argument("--suite", required=True)
    options.add_argument("--count", type=int, default=2000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--out")
    options.add_argument("--full")
    given = options.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        write_ranks(given.tokenizer, folder)
        os.environ["TIKTOKEN_ENCODINGS_BASE"] = folder
        import openai_harmony as harmony
        recorder = Recorder(harmony)
    record_suite(harmony, recorder, given.suite)
    n_suite = len(recorder.cases)
    generate = Generator(given.seed)
    for i in range(given.count):
        recorder.render(generate.conversation(harmony), generate.chance(0.7), generate.chance(0.8))
        recorder.body(*generate.body(harmony))
        recorder.parse(generate.sampled(recorder.encoding))
    print(f"{n_suite} cases of the library's suite, {len(recorder.cases) - n_suite} generated; in "
          f"{recorder.n_differ} the library and the format page drop different reasoning", file=sys.stderr)
    if given.full:
        with open(given.full, "w", encoding="utf-8") as file:
            for case in recorder.cases:
                file.write(json.dumps(case, ensure_ascii=False) + "\n")
    if given.out:
        generated = [case for case in recorder.cases[n_suite:] if small_enough(case)]
        with open(given.out, "w", encoding="utf-8") as file:
            for case in generated[:100]:
                case = {key: value for key, value in case.items() if key != "ids"}
                file.write(json.dumps(case, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
