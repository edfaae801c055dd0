// ai with @ai-sdk/openai-compatible.
import assert from 'node:assert/strict';
import test from 'node:test';
import {createOpenAICompatible} from '@ai-sdk/openai-compatible';
import {embedMany, generateText, stepCountIs, streamText, tool} from 'ai';
import {z} from 'zod';
import {call, final, withServer} from './serve.mjs';

const provider = (server) => createOpenAICompatible({name: 'atelier', baseURL: `${server.url}/v1`, includeUsage: true});

test('text with reasoning, streamed', () => withServer([final('It is 4.', '2 + 2')], async (server) => {
  const result = streamText({model: provider(server)('scripted'), prompt: 'What is it?'});
  assert.equal(await result.text, 'It is 4.');
  assert.equal(await result.reasoningText, '2 + 2');
  assert.equal(await result.finishReason, 'stop');
  assert.ok((await result.usage).outputTokens > 0);
}));

test('a tool is called and its result used', () => withServer(
    [call('weather', {city: 'Rome'}, 'I must look.'), final('Sunny.')], async (server) => {
      const asked = [];
      const result = await generateText({
        model: provider(server)('scripted'),
        prompt: 'Weather?',
        stopWhen: stepCountIs(3),
        tools: {
          weather: tool({
            description: 'Weather of a city',
            inputSchema: z.object({city: z.string()}),
            execute: async ({city}) => {
              asked.push(city);
              return 'sunny';
            },
          }),
        },
      });
      assert.equal(result.text, 'Sunny.');
      assert.deepEqual(asked, ['Rome']);
    }));

test('embeddings of the real model', () => withServer(null, async (server) => {
  const {embeddings} = await embedMany({model: provider(server).embeddingModel('starter'), values: ['a', 'b']});
  assert.deepEqual(embeddings.map((vector) => vector.length), [576, 576]);
}));
