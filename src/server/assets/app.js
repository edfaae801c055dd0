// The chat page: a conversation with /v1/chat/completions of the server it came from.
import {StreamedMarkdown} from './markdown.js';

const $ = (id) => document.getElementById(id);
const log = $('log'), field = $('text'), settings = $('settings').querySelector('form');
const scroller = document.querySelector('main');

// {role, content, reasoning?, stats?, error?}; what the page shows is made from it.
let messages = [];
let running = null;  // AbortController of the answer that is being written

const remembered = (name, otherwise) => {
  try {
    return JSON.parse(localStorage.getItem(name)) ?? otherwise;
  } catch {
    return otherwise;
  }
};
const remember = (name, value) => localStorage.setItem(name, JSON.stringify(value));

function headers() {
  const key = settings.elements.key.value;
  return {'content-type': 'application/json', ...(key ? {authorization: `Bearer ${key}`} : {})};
}

async function problem(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error.message;
  } catch {
    return text || `the server answered ${response.status}`;
  }
}

async function loadModels() {
  const response = await fetch('/v1/models', {headers: headers()});
  if (!response.ok) {
    $('status').textContent = await problem(response);
    if (response.status === 401) openSettings('key');
    return;
  }
  const ids = (await response.json()).data.map((model) => model.id);
  $('model').replaceChildren(...ids.map((id) => new Option(id, id)));
  const last = remembered('model', null);
  if (ids.includes(last)) $('model').value = last;
  $('status').textContent = ids.length ? '' : 'There is no model in the store.';
}

function requestBody() {
  const body = {model: $('model').value, stream: true, stream_options: {include_usage: true}};
  for (const name of ['temperature', 'top_p', 'top_k', 'max_tokens', 'seed'])
    if (settings.elements[name].value !== '') body[name] = Number(settings.elements[name].value);
  const effort = settings.elements.reasoning_effort.value;
  if (effort) body.reasoning_effort = effort;
  const system = settings.elements.system.value.trim();
  body.messages = [
    ...(system ? [{role: 'system', content: system}] : []),
    ...messages.filter((message) => !message.error)
        .map(({role, content, reasoning}) => ({role, content, ...(reasoning ? {reasoning_content: reasoning} : {})})),
  ];
  return body;
}

// The JSON values of a text/event-stream, as they come.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split('\n\n');
    rest = blocks.pop();
    for (const block of blocks)
      if (block.startsWith('data: ') && block !== 'data: [DONE]') yield JSON.parse(block.slice(6));
  }
}

function speed(usage, began, first) {
  const seconds = (performance.now() - first) / 1000;
  const rate = usage.completion_tokens > 1 && seconds > 0 ? (usage.completion_tokens - 1) / seconds : 0;
  const cached = usage.prompt_tokens_details.cached_tokens;
  return `${usage.completion_tokens} tokens, ${rate.toFixed(1)} tokens/s, first after ${((first - began) / 1000).toFixed(2)} s; ` +
      `prompt ${usage.prompt_tokens} tokens, ${cached} reused (${Math.round(100 * cached / usage.prompt_tokens)} %)`;
}

async function answer() {
  const message = {role: 'assistant', content: '', reasoning: ''};
  const body = requestBody();
  messages.push(message);
  const view = show(message);
  running = new AbortController();
  setBusy(view, true);
  const began = performance.now();
  let first = 0, usage = null;
  try {
    const response = await fetch('/v1/chat/completions', {
      method: 'POST', headers: headers(), body: JSON.stringify(body), signal: running.signal});
    if (!response.ok) throw new Error(await problem(response));
    for await (const chunk of events(response)) {
      if (chunk.error) throw new Error(chunk.error.message);
      usage = chunk.usage ?? usage;
      const delta = chunk.choices[0]?.delta ?? {};
      if (!first && (delta.content || delta.reasoning_content)) first = performance.now();
      message.content += delta.content ?? '';
      message.reasoning += delta.reasoning_content ?? '';
      view.refresh();
    }
    if (usage) message.stats = speed(usage, began, first || performance.now());
  } catch (error) {
    if (error.name === 'AbortError') message.stats = 'stopped';
    else message.error = error.message;
  }
  running = null;
  setBusy(view, false);
  view.finish();
  $('status').textContent = message.error ?? message.stats ?? '';
  remember('messages', messages);
  field.focus();
}

function setBusy(view, busy) {
  view.element.classList.toggle('busy', busy);
  view.element.setAttribute('aria-busy', busy);
  $('send').hidden = busy;
  $('stop').hidden = !busy;
  if (busy) $('status').textContent = 'Writing…';
}

function button(label, action) {
  const out = document.createElement('button');
  out.type = 'button';
  out.textContent = label;
  out.addEventListener('click', action);
  return out;
}

// Appends a message to the log; refresh() shows what was added to it, at most once a frame.
function show(message) {
  const element = document.createElement('article');
  element.className = `message ${message.role}`;
  element.setAttribute('aria-label', message.role === 'user' ? 'You' : 'Answer');
  const said = document.createElement('div');
  said.className = 'said';
  const tools = document.createElement('div');
  tools.className = 'tools';
  element.append(said, tools);
  log.append(element);

  const markdown = message.role === 'assistant' ? new StreamedMarkdown(said) : null;
  let reasoning = null, waiting = false;
  const draw = () => {
    waiting = false;
    const atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;
    if (message.reasoning && !reasoning) {
      reasoning = document.createElement('details');
      reasoning.className = 'reasoning';
      const summary = document.createElement('summary');
      summary.textContent = 'Reasoning';
      reasoning.append(summary, document.createElement('div'));
      element.prepend(reasoning);
    }
    if (reasoning) reasoning.lastChild.textContent = message.reasoning;
    if (markdown) markdown.update(message.content);
    else said.textContent = message.content;
    if (atEnd) scroller.scrollTop = scroller.scrollHeight;
  };
  const finish = () => {
    draw();
    tools.replaceChildren();
    if (message.error) {
      said.classList.add('error');
      said.append(message.error);
    }
    if (message.role === 'user') tools.append(button('Edit', () => edit(message, element, said)));
    else tools.append(button('Regenerate', () => regenerate(message)), button('Copy', () => navigator.clipboard.writeText(message.content)));
    if (message.stats) tools.append(` ${message.stats}`);
  };
  const view = {
    element,
    finish,
    refresh: () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(draw);
    },
  };
  if (message.role === 'user' || message.content || message.error) finish();
  return view;
}

function showAll() {
  log.replaceChildren();
  for (const message of messages) show(message);
  scroller.scrollTop = scroller.scrollHeight;
}

function cutBefore(message) {
  running?.abort();
  messages = messages.slice(0, messages.indexOf(message));
  showAll();
}

function ask(content) {
  const message = {role: 'user', content};
  messages.push(message);
  show(message);
  scroller.scrollTop = scroller.scrollHeight;
  answer();
}

function regenerate(message) {
  if (running) return;
  cutBefore(message);
  answer();
}

function edit(message, element, said) {
  if (running) return;
  const editor = document.createElement('textarea');
  editor.className = 'editor';
  editor.value = message.content;
  editor.rows = Math.min(10, message.content.split('\n').length + 1);
  editor.setAttribute('aria-label', 'Edit your message');
  const again = () => {
    const text = editor.value.trim();
    if (!text) return;
    cutBefore(message);
    ask(text);
  };
  editor.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      again();
    } else if (event.key === 'Escape') {
      event.stopPropagation();
      showAll();
      field.focus();
    }
  });
  said.replaceWith(editor);
  element.querySelector('.tools').replaceChildren(button('Send again', again), button('Cancel', showAll));
  editor.focus();
  editor.setSelectionRange(editor.value.length, editor.value.length);
}

function openSettings(name) {
  $('settings').showModal();
  settings.elements[name ?? 'system'].focus();
}

function grow() {
  field.style.height = 'auto';
  field.style.height = `${field.scrollHeight + 2}px`;
}

$('ask').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = field.value.trim();
  if (!text || running) return;
  field.value = '';
  grow();
  ask(text);
});
field.addEventListener('input', grow);
field.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $('ask').requestSubmit();
  } else if (event.key === 'ArrowUp' && field.value === '') {
    const edits = log.querySelectorAll('.user .tools button');
    if (edits.length === 0) return;
    event.preventDefault();  // or the key would move the caret of the editor that opens
    edits[edits.length - 1].click();
  }
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') running?.abort();
});
$('stop').addEventListener('click', () => running?.abort());
$('fresh').addEventListener('click', () => {
  running?.abort();
  messages = [];
  remember('messages', messages);
  showAll();
  $('status').textContent = '';
  field.focus();
});
$('model').addEventListener('change', () => remember('model', $('model').value));
$('open-settings').addEventListener('click', () => openSettings());
$('settings').addEventListener('close', () => {
  // The key lives as long as the page: what is stored, every script of this address could read.
  const kept = Object.fromEntries([...new FormData(settings)].filter(([name]) => name !== 'key'));
  remember('settings', kept);
  if ($('model').options.length === 0) loadModels();
  field.focus();
});

for (const [name, value] of Object.entries(remembered('settings', {})))
  if (settings.elements[name]) settings.elements[name].value = value;
messages = remembered('messages', []);
showAll();
loadModels();
