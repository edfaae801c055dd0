// The three lines of each Node client that the README shows, run as they stand there but for the port.
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {readFileSync, rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'node:test';
import {withServer} from './serve.mjs';

const blocks = readFileSync(process.env.ATELIER_README, 'utf8').split('\n\n')
    .filter((block) => /^    import /.test(block) && block.includes('127.0.0.1:8080'))
    .map((block) => block.split('\n').map((line) => line.slice(4)));

test('two clients, three lines each', async () => {
  assert.equal(blocks.length, 2);
  await withServer(null, async (server) => {
    for (const [index, lines] of blocks.entries()) {
      assert.equal(lines.length, 3);
      const file = join(process.cwd(), `readme-${index}.mjs`);  // modules are looked for beside it
      const text = lines.join('\n').replace('127.0.0.1:8080', `127.0.0.1:${server.port}`)
          .replace(/^await (.*);$/m, 'console.log(JSON.stringify(await $1));');
      writeFileSync(file, text);
      const done = spawnSync(process.execPath, [file], {encoding: 'utf8'});
      rmSync(file);
      assert.equal(done.status, 0, text + done.stderr);
      const answer = JSON.parse(done.stdout);
      assert.match(answer.content?.[0].text ?? answer.message.content, /\w/);
    }
  });
});
