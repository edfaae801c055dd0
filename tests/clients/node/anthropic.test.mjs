// @anthropic-ai/sdk: messages, streams, tools, thinking, token counts.
import assert from 'node:assert/strict';
import test from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import {call, final, weatherSchema, withServer} from './serve.mjs';

const client = (server) => new Anthropic({baseURL: server.url, apiKey: 'none', maxRetries: 0});
const question = [{role: 'user', content: 'What is it?'}];
const base = {model: 'scripted', max_tokens: 200, messages: question};
const tools = [{name: 'weather', description: 'Weather of a city', input_schema: weatherSchema}];

test('a message, whole and streamed', () => withServer([final('It is 4.', '2 + 2'), final('It is 5.', '2 + 3')], async (server) => {
  const anthropic = client(server);
  const thinking = {type: 'enabled', budget_tokens: 1024};
  const whole = await anthropic.messages.create({...base, thinking, max_tokens: 2000});
  assert.deepEqual(whole.content.map((block) => block.type), ['thinking', 'text']);
  assert.equal(whole.content[1].text, 'It is 4.');
  assert.equal(whole.stop_reason, 'end_turn');
  const stream = anthropic.messages.stream({...base, thinking, max_tokens: 2000});
  let text = '';
  stream.on('text', (delta) => text += delta);
  const done = await stream.finalMessage();
  assert.equal(text, 'It is 5.');
  assert.equal(done.content[0].thinking, '2 + 3');
  assert.ok(done.usage.output_tokens > 0);
}));

test('a tool and its result', () => withServer([call('weather', {city: 'Rome'}, 'I must look.'), final('Sunny.')], async (server) => {
  const anthropic = client(server);
  const stream = anthropic.messages.stream({...base, tools, tool_choice: {type: 'any'}});
  const first = await stream.finalMessage();
  assert.equal(first.stop_reason, 'tool_use');
  const used = first.content.find((block) => block.type === 'tool_use');
  assert.deepEqual(used.input, {city: 'Rome'});
  const second = await anthropic.messages.create({
    ...base,
    tools,
    messages: [
      ...question,
      {role: 'assistant', content: first.content},
      {role: 'user', content: [{type: 'tool_result', tool_use_id: used.id, content: 'sun'}]},
    ],
  });
  assert.equal(second.content[0].text, 'Sunny.');
}));

test('stop sequences, counts and errors', () => withServer([final('one two three')], async (server) => {
  const anthropic = client(server);
  const cut = await anthropic.messages.create({...base, stop_sequences: [' thr']});
  assert.deepEqual([cut.stop_reason, cut.stop_sequence, cut.content[0].text], ['stop_sequence', ' thr', 'one two']);
  const count = await anthropic.messages.countTokens({model: 'scripted', messages: question, system: 'Be brief.'});
  assert.ok(count.input_tokens > 10);
  const image = {type: 'image', source: {type: 'base64', media_type: 'image/png', data: 'AA=='}};
  await assert.rejects(anthropic.messages.create({...base, messages: [{role: 'user', content: [image]}]}),
                       (error) => error instanceof Anthropic.BadRequestError && /reads text only/.test(error.message));
}));

test('the real model answers', () => withServer(null, async (server) => {
  const message = await client(server).messages.create({...base, model: 'starter', max_tokens: 8});
  assert.equal(message.content[0].type, 'text');
  assert.ok(message.usage.input_tokens > 0);
}));
