// openai for Node: chat, completions, responses, embeddings, errors.
import assert from 'node:assert/strict';
import test from 'node:test';
import OpenAI from 'openai';
import {call, final, weatherSchema, withServer} from './serve.mjs';

const client = (server) => new OpenAI({baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0});
const question = [{role: 'user', content: 'What is it?'}];
const weather = {type: 'function', function: {name: 'weather', parameters: weatherSchema}};

test('chat, whole and streamed', () => withServer([final('It is 4.', '2 + 2'), final('It is 5.', '2 + 3')], async (server) => {
  const openai = client(server);
  const whole = await openai.chat.completions.create({model: 'scripted', messages: question});
  assert.equal(whole.choices[0].message.content, 'It is 4.');
  assert.equal(whole.choices[0].message.reasoning_content, '2 + 2');
  const stream = await openai.chat.completions.create(
      {model: 'scripted', messages: question, stream: true, stream_options: {include_usage: true}});
  let text = '', usage;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? '';
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, 'It is 5.');
  assert.ok(usage.total_tokens > usage.completion_tokens);
}));

test('the tool runner of chat completions', () => withServer(
    [call('weather', {city: 'Rome'}, 'I must look.'), final('It is sunny in Rome.')], async (server) => {
      const asked = [];
      const runner = client(server).chat.completions.runTools({
        model: 'scripted',
        messages: question,
        stream: true,
        tools: [{
          type: 'function',
          function: {
            name: 'weather',
            description: 'Weather of a city',
            parameters: weatherSchema,
            parse: JSON.parse,
            function: ({city}) => {
              asked.push(city);
              return 'sunny';
            },
          },
        }],
      });
      assert.equal(await runner.finalContent(), 'It is sunny in Rome.');
      assert.deepEqual(asked, ['Rome']);
    }));

test('structured output is parsed', () => withServer([final('{"city":"Rome"}')], async (server) => {
  const done = await client(server).chat.completions.parse({
    model: 'scripted',
    messages: question,
    response_format: {type: 'json_schema', json_schema: {name: 'place', strict: true, schema: weatherSchema}},
  });
  assert.deepEqual(JSON.parse(done.choices[0].message.content), {city: 'Rome'});
}));

test('responses: helpers see every event', () => withServer([final('Blue.', 'The sky.'), final('Because.')], async (server) => {
  const openai = client(server);
  const types = [];
  const stream = openai.responses.stream({model: 'scripted', input: 'Which colour?'});
  for await (const event of stream) types.push(event.type);
  const first = await stream.finalResponse();
  assert.equal(first.output_text, 'Blue.');
  assert.deepEqual([types[0], types.at(-1)], ['response.created', 'response.completed']);
  assert.ok(types.includes('response.reasoning_text.delta') && types.includes('response.reasoning_text.done'));
  const second = await openai.responses.create(
      {model: 'scripted', input: 'Why?', previous_response_id: first.id});
  assert.equal(second.output_text, 'Because.');
  assert.equal((await openai.responses.retrieve(second.id)).output_text, 'Because.');
  await openai.responses.delete(second.id);
  await assert.rejects(openai.responses.retrieve(second.id), (error) => error.status === 404);
}));

test('responses: a function call with its reasoning sent back', () => withServer(
    [call('weather', {city: 'Rome'}, 'I must look.'), final('Sunny.')], async (server) => {
      const openai = client(server);
      const tools = [{type: 'function', name: 'weather', parameters: weatherSchema, strict: true}];
      const input = [{role: 'user', content: 'Weather?'}];
      const first = await openai.responses.create({model: 'scripted', input, tools, store: false});
      const called = first.output.find((item) => item.type === 'function_call');
      assert.deepEqual(JSON.parse(called.arguments), {city: 'Rome'});
      const second = await openai.responses.create({
        model: 'scripted',
        tools,
        input: [...input, ...first.output, {type: 'function_call_output', call_id: called.call_id, output: 'sun'}],
      });
      assert.equal(second.output_text, 'Sunny.');
    }));

test('errors carry status, code and parameter', () => withServer([final('x')], async (server) => {
  const openai = client(server);
  await assert.rejects(openai.chat.completions.create({model: 'nobody', messages: question}),
                       (error) => error instanceof OpenAI.NotFoundError && error.code === 'model_not_found');
  await assert.rejects(openai.chat.completions.create({model: 'scripted', messages: question, temperature: 9}),
                       (error) => error instanceof OpenAI.BadRequestError && error.param === 'temperature');
}));

test('a key is asked for', () => withServer([final('Yes.')], async (server) => {
  await assert.rejects(client(server).models.list(), OpenAI.AuthenticationError);
  const known = new OpenAI({baseURL: `${server.url}/v1`, apiKey: 'sesame'});
  assert.deepEqual((await known.models.list()).data.map((model) => model.id), ['scripted']);
}, ['--api-key', 'sesame']));

test('the real model: shapes, logprobs, an abandoned stream, embeddings', () => withServer(null, async (server) => {
  const openai = client(server);
  const done = await openai.chat.completions.create({
    model: 'starter', messages: question, max_completion_tokens: 8, logprobs: true, top_logprobs: 3, n: 2, seed: 4});
  assert.equal(done.choices.length, 2);
  for (const choice of done.choices)
    for (const token of choice.logprobs.content) assert.equal(token.top_logprobs.length, 3);
  const abandoned = await openai.chat.completions.create({model: 'starter', messages: question, stream: true});
  for await (const chunk of abandoned) if (chunk.choices[0].delta.content) break;
  const completion = await openai.completions.create(
      {model: 'starter', prompt: 'The capital of France is', max_tokens: 4, temperature: 0, echo: true, logprobs: 2});
  assert.match(completion.choices[0].text, /^The capital of France is Paris/);
  const both = await openai.embeddings.create({model: 'starter', input: ['a cat', 'a dog']});
  assert.deepEqual(both.data.map((item) => item.embedding.length), [576, 576]);
}));
