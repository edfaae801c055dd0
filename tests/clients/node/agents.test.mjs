// @openai/agents in the manner of openai/gpt-oss' compatibility-test: thirty cases, each through Chat Completions and
// through Responses, whole and streamed. The scripted model calls the right tool; what is tested is that the call, its
// arguments, the reasoning and the events arrive as the SDK expects them.
import assert from 'node:assert/strict';
import test from 'node:test';
import {Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, setTracingDisabled, tool} from '@openai/agents';
import OpenAI from 'openai';
import {call, final, withServer} from './serve.mjs';

setTracingDisabled(true);

const text = {type: 'string'}, number = {type: 'number'}, integer = {type: 'integer'}, yes = {type: 'boolean'};
const list = (items) => ({type: 'array', items});
const choice = (...values) => ({type: 'string', enum: values});

// Name → properties of its arguments; all are required.
const TOOLS = {
  get_weather: {city: text, unit: choice('celsius', 'fahrenheit')},
  convert_currency: {amount: number, from: text, to: text},
  add_event: {title: text, start: text, minutes: integer, guests: list(text)},
  search_files: {query: text, case_sensitive: yes, limit: integer},
  draw_polygon: {points: list({
    type: 'object', properties: {x: number, y: number}, required: ['x', 'y'], additionalProperties: false})},
  set_thermostat: {room: choice('kitchen', 'bedroom', 'bath'), degrees: number},
  translate: {text, language: text},
  list_things: {},
  send_mail: {to: list(text), subject: text, body: text},
  run_query: {sql: text, parameters: list(text)},
};

const CASES = [
  ['get_weather', 'How warm is it in Rome?', {city: 'Rome', unit: 'celsius'}],
  ['get_weather', 'Weather in São Paulo in Fahrenheit, please.', {city: 'São Paulo', unit: 'fahrenheit'}],
  ['get_weather', '東京の天気は？', {city: '東京', unit: 'celsius'}],
  ['convert_currency', 'What are 12.50 euros in dollars?', {amount: 12.5, from: 'EUR', to: 'USD'}],
  ['convert_currency', 'One million yen in pounds', {amount: 1000000, from: 'JPY', to: 'GBP'}],
  ['convert_currency', 'A refund of 3 francs in kronor', {amount: -3, from: 'CHF', to: 'SEK'}],
  ['add_event', 'Lunch with Ada tomorrow at noon', {title: 'Lunch', start: '2031-01-02T12:00', minutes: 60, guests: ['Ada']}],
  ['add_event', 'Focus time, nobody else', {title: 'Focus', start: '2031-01-02T09:00', minutes: 120, guests: []}],
  ['add_event', 'A call with "the board"', {title: 'Call: "the board"', start: '2031-01-03T10:00', minutes: 30, guests: ['A', 'B', 'C']}],
  ['search_files', 'Find the licence', {query: 'licence', case_sensitive: false, limit: 10}],
  ['search_files', 'Where is NOTE written in capitals?', {query: 'NOTE', case_sensitive: true, limit: 100}],
  ['search_files', 'Look for a backslash', {query: '\\', case_sensitive: false, limit: 1}],
  ['draw_polygon', 'Draw a triangle', {points: [{x: 0, y: 0}, {x: 1, y: 0}, {x: 0.5, y: 0.866}]}],
  ['draw_polygon', 'Draw nothing', {points: []}],
  ['draw_polygon', 'A point left of the origin', {points: [{x: -2.5e-3, y: 0}]}],
  ['set_thermostat', 'Make the bath warm', {room: 'bath', degrees: 24.5}],
  ['set_thermostat', 'Frost protection in the kitchen', {room: 'kitchen', degrees: 5}],
  ['set_thermostat', 'Bedroom to minus one', {room: 'bedroom', degrees: -1}],
  ['translate', 'How do I say good morning in French?', {text: 'good morning', language: 'French'}],
  ['translate', 'Translate a smile', {text: '😀 \u00e9\u00e8', language: 'Emoji'}],
  ['translate', 'Two lines', {text: 'one\ntwo\ttabbed', language: 'German'}],
  ['list_things', 'What have we got?', {}],
  ['list_things', 'And now?', {}],
  ['list_things', 'List everything.', {}],
  ['send_mail', 'Tell Bo and Cy that we are late', {to: ['bo@example.org', 'cy@example.org'], subject: 'Late', body: 'We are late.'}],
  ['send_mail', 'An empty mail to myself', {to: ['me@example.org'], subject: '', body: ''}],
  ['send_mail', 'Send markup', {to: ['x@example.org'], subject: '<b>', body: '<p>&amp; "quotes" and </tool_call>'}],
  ['run_query', 'How many users are there?', {sql: 'SELECT count(*) FROM users', parameters: []}],
  ['run_query', "Who is O'Brien?", {sql: 'SELECT * FROM users WHERE name = ?', parameters: ["O'Brien"]}],
  ['run_query', 'A long one', {sql: `SELECT ${'x, '.repeat(200)}y FROM t`, parameters: ['1', '2']}],
];

const schemaOf = (name) => ({
  type: 'object',
  properties: TOOLS[name],
  required: Object.keys(TOOLS[name]),
  additionalProperties: false,
});

function agentFor(name, seen) {
  return new Agent({
    name,
    instructions: 'Use the tool.',
    tools: [tool({
      name,
      description: `Does what ${name} says`,
      parameters: schemaOf(name),
      strict: true,
      execute: (args) => {
        seen.push(args);
        return 'done';
      },
    })],
  });
}

// What the SDK has of the provider's own answer: it must carry the reasoning.
function checkReasoning(api, result, events) {
  if (events) {
    const deltas = api === 'chat'
        ? events.map((event) => event.choices?.[0]?.delta.reasoning ?? '')
        : events.filter((event) => event.type === 'response.reasoning_text.delta').map((event) => event.delta);
    assert.ok(deltas.join('').startsWith('I should use'), 'reasoning is streamed');
    if (api === 'responses') assert.ok(events.some((event) => event.type === 'response.reasoning_text.done'));
    return;
  }
  const data = result.rawResponses[0].providerData;
  if (api === 'chat') {
    assert.ok(data.choices[0].message.reasoning.length > 0);
    assert.ok(data.choices[0].message.reasoning_content.length > 0);
  } else {
    const item = data.output.find((output) => output.type === 'reasoning');
    assert.ok(item.content.every((part) => part.type === 'reasoning_text' && part.text.length > 0));
  }
}

const turns = CASES.flatMap(([name, , args]) => [call(name, args, `I should use ${name}.`), final('All done.', 'It worked.')]);

for (const api of ['chat', 'responses'])
  for (const streamed of [false, true])
    test(`${CASES.length} cases through ${api}, ${streamed ? 'streamed' : 'whole'}`, () => withServer(turns, async (server) => {
      const client = new OpenAI({baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0});
      const Model = api === 'chat' ? OpenAIChatCompletionsModel : OpenAIResponsesModel;
      const runner = new Runner({model: new Model(client, 'scripted'), tracingDisabled: true});
      for (const [name, input, expected] of CASES) {
        const seen = [];
        const result = await runner.run(agentFor(name, seen), input, {stream: streamed, maxTurns: 4});
        let events = null;
        if (streamed) {
          events = [];
          for await (const event of result)
            if (event.type === 'raw_model_stream_event' && event.data.type === 'model') events.push(event.data.event);
          await result.completed;
        }
        assert.deepEqual(seen, [expected], `${name}: ${input}`);
        assert.equal(result.finalOutput, 'All done.');
        checkReasoning(api, result, events);
      }
    }));
