// Claude Code edits a file over the Messages API, told not to call home; a proxy is witness that it does not.
import assert from 'node:assert/strict';
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'node:test';
import {call, final, run, withServer, witness} from './serve.mjs';

const quiet = {
  ANTHROPIC_AUTH_TOKEN: 'none',
  ANTHROPIC_MODEL: 'scripted',
  ANTHROPIC_DEFAULT_HAIKU_MODEL: 'scripted',
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
  DISABLE_AUTOUPDATER: '1',
  DISABLE_ERROR_REPORTING: '1',
  DISABLE_TELEMETRY: '1',
};

test('claude -p completes an edit and talks to nobody else', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'atelier-claude-'));
  const home = join(folder, 'home'), work = join(folder, 'work'), file = join(work, 'greet.py');
  mkdirSync(home);
  mkdirSync(work);
  writeFileSync(file, 'print("Hello")\n');
  await withServer([
    call('Read', {file_path: file}, 'First I look.'),
    call('Edit', {file_path: file, old_string: 'print("Hello")', new_string: 'print("Hello, Ada")'}, 'Now I edit.'),
    final('Changed the greeting.', 'That worked.'),
  ], async (server) => {
    const outside = await witness();
    const done = await run(
        join(process.cwd(), 'node_modules/@anthropic-ai/claude-code-linux-x64/claude'),
        ['-p', 'Greet Ada.', '--allowedTools', 'Read', 'Edit', '--output-format', 'json'],
        {cwd: work, env: {...outside.env, ...quiet, PATH: process.env.PATH, HOME: home, ANTHROPIC_BASE_URL: server.url}});
    outside.close();
    assert.equal(done.status, 0, done.out + done.err + server.log());
    assert.equal(JSON.parse(done.out).result, 'Changed the greeting.');
    assert.equal(readFileSync(file, 'utf8'), 'print("Hello, Ada")\n');
    assert.deepEqual(outside.asked, []);
  });
  rmSync(folder, {recursive: true, force: true});
});
