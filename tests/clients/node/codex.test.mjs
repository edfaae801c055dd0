// Codex CLI edits a file, through a provider of its own, over the Responses API, in a folder it is confined to.
import assert from 'node:assert/strict';
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'node:test';
import {call, final, run, withServer, witness} from './serve.mjs';

const patch = `apply_patch <<'EOF'
*** Begin Patch
*** Update File: greet.py
@@
-print("Hello")
+print("Hello, Ada")
*** End Patch
EOF
`;

const config = (server) => `
model = "scripted"
model_provider = "atelier"
check_for_update_on_startup = false
[analytics]
enabled = false
[features]  # what it would fetch from its makers at each start
plugins = false
apps = false
remote_plugin = false
api_key_model_discovery = false
[model_providers.atelier]
name = "Atelier"
base_url = "${server.url}/v1"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
`;

test('codex exec completes an edit and talks to nobody else', () => withServer([
  call('exec_command', {cmd: 'cat greet.py'}, 'First I look.'),
  call('exec_command', {cmd: patch}, 'Now I edit.'),
  final('Changed the greeting.', 'That worked.'),
], async (server) => {
  const home = join(server.folder, 'home'), work = join(server.folder, 'work');
  const outside = await witness();
  const env = {
    ...outside.env,
    PATH: process.env.PATH,
    HOME: home,
    CODEX_HOME: join(home, '.codex'),
    TMPDIR: join(server.folder, 'tmp'),  // its home must not lie in it, or it does without helpers of its sandbox
  };
  mkdirSync(env.CODEX_HOME, {recursive: true});
  mkdirSync(env.TMPDIR);
  mkdirSync(work);
  writeFileSync(join(env.CODEX_HOME, 'config.toml'), config(server));
  writeFileSync(join(work, 'greet.py'), 'print("Hello")\n');
  const done = await run(process.execPath, [
    join(process.cwd(), 'node_modules/@openai/codex/bin/codex.js'), 'exec', '--skip-git-repo-check', '--json',
    '--sandbox', 'workspace-write', 'Greet Ada.',
  ], {cwd: work, env});
  outside.close();
  assert.equal(done.status, 0, done.err + server.log());
  assert.equal(readFileSync(join(work, 'greet.py'), 'utf8'), 'print("Hello, Ada")\n', done.out);
  const events = done.out.trim().split('\n').map((line) => JSON.parse(line));
  const items = events.filter((event) => event.type === 'item.completed').map((event) => event.item);
  assert.equal(items.at(-1).text, 'Changed the greeting.');
  assert.ok(events.at(-1).usage.output_tokens > 0);
  assert.deepEqual(outside.asked, []);
}));
