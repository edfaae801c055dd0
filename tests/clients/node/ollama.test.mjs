// ollama for Node.
import assert from 'node:assert/strict';
import test from 'node:test';
import {Ollama} from 'ollama';
import {call, final, weatherSchema, withServer} from './serve.mjs';

const messages = [{role: 'user', content: 'What is it?'}];

test('chat, whole and streamed, with thinking and tools', () => withServer(
    [final('It is 4.', '2 + 2'), final('It is 5.', '2 + 3'), call('weather', {city: 'Rome'}), final('Sunny.')],
    async (server) => {
      const ollama = new Ollama({host: server.url});
      const whole = await ollama.chat({model: 'scripted', messages, think: 'high'});
      assert.equal(whole.message.content, 'It is 4.');
      assert.equal(whole.message.thinking, '2 + 2');
      let text = '', last;
      for await (const part of await ollama.chat({model: 'scripted', messages, stream: true})) {
        text += part.message.content;
        last = part;
      }
      assert.equal(text, 'It is 5.');
      assert.ok(last.done && last.eval_count > 0 && last.total_duration > 0);
      const tools = [{type: 'function', function: {name: 'weather', description: 'Weather', parameters: weatherSchema}}];
      const asked = await ollama.chat({model: 'scripted', messages, tools});
      assert.deepEqual(asked.message.tool_calls[0].function, {name: 'weather', arguments: {city: 'Rome'}});
      const answered = await ollama.chat({
        model: 'scripted', tools,
        messages: [...messages, asked.message, {role: 'tool', tool_name: 'weather', content: 'sun'}]});
      assert.equal(answered.message.content, 'Sunny.');
    }));

test('the real model: generate, embed, list, show, ps, errors', () => withServer(null, async (server) => {
  const ollama = new Ollama({host: server.url});
  const said = await ollama.generate(
      {model: 'starter', prompt: 'The capital of France is', raw: true, options: {num_predict: 4, temperature: 0}});
  assert.match(said.response, /Paris/);
  const vectors = await ollama.embed({model: 'starter', input: ['a cat', 'a dog']});
  assert.deepEqual(vectors.embeddings.map((vector) => vector.length), [576, 576]);
  assert.deepEqual((await ollama.list()).models.map((model) => model.name), ['starter']);
  assert.deepEqual((await ollama.ps()).models.map((model) => model.name), ['starter']);
  assert.equal((await ollama.show({model: 'starter'})).details.family, 'llama');
  await assert.rejects(ollama.chat({model: 'nobody', messages}), /expected one of starter/);
}));
