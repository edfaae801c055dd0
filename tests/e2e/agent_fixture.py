"""A scripted model and a folder for it to work in."""

import json
import sqlite3

from harness import REPOSITORY, EndToEnd, Outcome

TOKENIZER = REPOSITORY / "tests" / "data" / "tokenizer" / "gpt-oss.json"


def call(tool: str, **arguments) -> str:
    """A call on the analysis channel, arguments in the order of the tool's schema."""
    body = json.dumps(arguments, separators=(",", ":"), ensure_ascii=False)
    return f"<|channel|>analysis to={tool} code<|message|>{body}<|call|>"


def shell(line: str) -> str:
    return call("container.exec", cmd=["bash", "-c", line])


def patch(*sections: str) -> str:
    return call("repo_browser.apply_patch", patch="*** Begin Patch\n" + "".join(sections) + "*** End Patch")


def update(path: str, *lines: str) -> str:
    return f"*** Update File: {path}\n@@\n" + "".join(line + "\n" for line in lines)


def add(path: str, *lines: str) -> str:
    return f"*** Add File: {path}\n" + "".join("+" + line + "\n" for line in lines)


def think(text: str, then: str) -> str:
    return f"<|channel|>analysis<|message|>{text}<|end|><|start|>assistant{then}"


def final(text: str) -> str:
    return f"<|channel|>final<|message|>{text}<|return|>"


class AgentTest(EndToEnd):
    def setUp(self) -> None:
        super().setUp()
        self.work = self.home / "work"
        self.work.mkdir()
        self.state = self.home / ".local" / "state" / "atelier"

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def read(self, name: str) -> str:
        return (self.work / name).read_text(encoding="utf-8")

    def script(self, *turns: str, context: int = 131072, name: str = "script.json") -> str:
        """What the model will say, one turn a step, as the value of -m."""
        path = self.home / name
        path.write_text(json.dumps({"architecture": "gpt-oss", "tokenizer": str(TOKENIZER), "context": context,
                                    "turns": turns}), encoding="utf-8")
        return f"script:{path}"

    def exec(self, task: str, *turns: str, flags=("--sandbox", "full"), context: int = 131072) -> Outcome:
        return self.atelier("exec", "--json", "-m", self.script(*turns, context=context), "--cd", self.work, *flags,
                            task, starter=False)

    def done(self, task: str, *turns: str, **options) -> list[dict]:
        """The events of a task that ended well."""
        outcome = self.exec(task, *turns, **options)
        events = self.events(outcome)
        self.assertEqual(outcome.status, 0, f"{outcome.err} {events[-1:]}")
        self.assertEqual(events[-1]["type"], "turn.completed")
        return events

    @staticmethod
    def events(outcome: Outcome) -> list[dict]:
        return [json.loads(line) for line in outcome.text.splitlines()]

    @staticmethod
    def items(events: list[dict], kind: str) -> list[dict]:
        return [event["item"] for event in events
                if event["type"] == "item.completed" and event["item"]["type"] == kind]

    def turns_kept(self) -> list[tuple[str, str]]:
        """(task, how it ended) of the session's turns, oldest first."""
        with sqlite3.connect(self.state / "sessions.db") as database:
            return database.execute(
                "WITH RECURSIVE path(id) AS (SELECT head FROM sessions UNION ALL SELECT parent FROM nodes JOIN path "
                "USING(id) WHERE parent <> 0) SELECT task, ended FROM nodes JOIN path USING(id) WHERE kind = 3 "
                "ORDER BY id").fetchall()
