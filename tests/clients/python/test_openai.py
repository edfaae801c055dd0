"""openai for Python: chat, streams, tools, structured output, responses, embeddings, errors."""

import json
import unittest

import openai
import pydantic
from client import Client, call, final

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
           "additionalProperties": False}
QUESTION = [{"role": "user", "content": "What is it?"}]


class Place(pydantic.BaseModel):
    city: str


class OpenAi(Client):
    def client(self, *turns: str) -> openai.OpenAI:
        server = self.scripted(*turns) if turns else self.starter()
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        self.addCleanup(client.close)
        return client

    def test_chat_whole_and_streamed(self):
        client = self.client(final("It is 4.", "2 + 2"), final("It is 5.", "2 + 3"))
        whole = client.chat.completions.create(model="scripted", messages=QUESTION)
        self.assertEqual(whole.choices[0].message.content, "It is 4.")
        self.assertEqual(whole.choices[0].message.reasoning_content, "2 + 2")
        text = ""
        with client.chat.completions.stream(model="scripted", messages=QUESTION) as stream:
            for event in stream:
                if event.type == "content.delta":
                    text += event.delta
        self.assertEqual(text, "It is 5.")
        self.assertEqual(stream.get_final_completion().choices[0].finish_reason, "stop")

    def test_a_tool_loop(self):
        client = self.client(call("weather", {"city": "Rome"}, "I must look."), final("Sunny."))
        tools = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER, "strict": True}}]
        first = client.chat.completions.create(model="scripted", messages=QUESTION, tools=tools)
        message = first.choices[0].message
        self.assertEqual(json.loads(message.tool_calls[0].function.arguments), {"city": "Rome"})
        second = client.chat.completions.create(model="scripted", tools=tools, messages=[
            *QUESTION, message, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sun"}])
        self.assertEqual(second.choices[0].message.content, "Sunny.")

    def test_parsed_output(self):
        client = self.client(final('{"city":"Rome"}'), final('{"city":"Oslo"}'))
        done = client.chat.completions.parse(model="scripted", messages=QUESTION, response_format=Place)
        self.assertEqual(done.choices[0].message.parsed, Place(city="Rome"))
        response = client.responses.parse(model="scripted", input="Where?", text_format=Place)
        self.assertEqual(response.output_parsed, Place(city="Oslo"))

    def test_responses_streamed(self):
        client = self.client(final("Blue.", "The sky."))
        with client.responses.stream(model="scripted", input="Which colour?") as stream:
            types = [event.type for event in stream]
            whole = stream.get_final_response()
        self.assertEqual(whole.output_text, "Blue.")
        self.assertEqual((types[0], types[-1]), ("response.created", "response.completed"))
        self.assertEqual(whole.output[0].content[0].text, "The sky.")

    def test_the_real_model(self):
        client = self.client()
        self.assertEqual([model.id for model in client.models.list()], ["starter"])
        vector = client.embeddings.create(model="starter", input="a cat").data[0].embedding
        self.assertEqual(len(vector), 576)
        done = client.completions.create(model="starter", prompt="The capital of France is", max_tokens=3, temperature=0)
        self.assertIn("Paris", done.choices[0].text)
        with self.assertRaises(openai.BadRequestError) as refused:
            client.chat.completions.create(model="starter", messages=QUESTION, temperature=5)
        self.assertEqual(refused.exception.param, "temperature")


if __name__ == "__main__":
    unittest.main()
