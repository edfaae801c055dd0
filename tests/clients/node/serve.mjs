// Starts `atelier serve` for a test: with a scripted model that says exact words, or with the real starter.
import {spawn} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {createServer} from 'node:http';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

const BINARY = process.env.ATELIER_BINARY;
const TOKENIZER = process.env.ATELIER_TOKENIZER;  // gpt-oss' vocabulary, cut down

// A whole turn of gpt-oss: reasoning, then an answer or a call.
const thought = (reasoning) =>
    reasoning ? `<|channel|>analysis<|message|>${reasoning}<|end|><|start|>assistant` : '';
export const final = (text, reasoning = '') =>
    `${thought(reasoning)}<|channel|>final<|message|>${text}<|return|>`;
export const call = (name, args, reasoning = '') =>
    `${thought(reasoning)}<|channel|>commentary to=functions.${name} <|constrain|>json<|message|>` +
    `${typeof args === 'string' ? args : JSON.stringify(args)}<|call|>`;

// {url, port, folder, log(), stop()}; `turns` null: the starter model.
export async function serve(turns, flags = []) {
  const folder = mkdtempSync(join(tmpdir(), 'atelier-client-'));
  let model = 'starter';
  if (turns) {
    const script = {architecture: 'gpt-oss', tokenizer: TOKENIZER, turns};
    writeFileSync(join(folder, 'scripted.json'), JSON.stringify(script));
    model = `script:${join(folder, 'scripted.json')}`;
  }
  const child = spawn(BINARY, ['serve', '--port', '0', '-m', model, ...flags],
                      {stdio: ['ignore', 'ignore', 'pipe']});
  let log = '';
  const port = await new Promise((resolve, reject) => {
    child.stderr.on('data', (data) => {
      log += data;
      const found = log.match(/on https?:\/\/[^\s:]+:(\d+)/);
      if (found) resolve(Number(found[1]));
    });
    child.on('exit', (code) => reject(new Error(`atelier serve ended with ${code}: ${log}`)));
  });
  return {
    port,
    folder,
    url: `http://127.0.0.1:${port}`,
    log: () => log,
    stop: () => new Promise((resolve) => {
      child.removeAllListeners('exit');
      child.on('exit', resolve);
      child.kill('SIGTERM');
    }).then(() => rmSync(folder, {recursive: true, force: true})),
  };
}

// Runs `body` against a server and stops it whatever happens.
export async function withServer(turns, body, flags) {
  const server = await serve(turns, flags);
  try {
    return await body(server);
  } finally {
    await server.stop();
  }
}

export const weatherSchema = {
  type: 'object',
  properties: {city: {type: 'string'}},
  required: ['city'],
  additionalProperties: false,
};

// A proxy that lets nothing through and notes who was asked for: what a program would have said to others.
export async function witness() {
  const asked = [];
  const proxy = createServer((request, response) => {
    asked.push(request.url);
    response.writeHead(403).end();
  });
  proxy.on('connect', (request, socket) => {
    asked.push(request.url);
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
  });
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${proxy.address().port}`;
  return {
    asked,
    env: {HTTPS_PROXY: url, HTTP_PROXY: url, ALL_PROXY: url, NO_PROXY: '127.0.0.1,localhost'},
    close: () => proxy.close(),
  };
}

// Runs a program to its end, at most `seconds`; {status, out, err}.
export function run(command, args, {cwd, env, seconds = 90}) {
  const child = spawn(command, args, {cwd, env, stdio: ['ignore', 'pipe', 'pipe']});
  let out = '', err = '';
  child.stdout.on('data', (data) => out += data);
  child.stderr.on('data', (data) => err += data);
  const timer = setTimeout(() => child.kill('SIGKILL'), seconds * 1000);
  return new Promise((resolve) => child.on('close', (status) => {
    clearTimeout(timer);
    resolve({status, out, err});
  }));
}
