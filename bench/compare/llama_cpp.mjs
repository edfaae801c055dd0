// Drives llama.cpp through the prebuilt libraries of node-llama-cpp and prints one JSON object on stdout.
//
//   node llama_cpp.mjs COMMAND --modules DIR --model FILE [--threads 2] …
//
// DIR is a node_modules folder outside this repository that holds node-llama-cpp (or the environment variable
// ATELIER_PEER_MODULES names it). Commands:
//
//   bench        --prefill N --decode N --depth N --rounds N   tok/s of each round, peak memory, the library loaded
//   first-token  --prompt TEXT                                 prints {"event":"token"} as soon as one token exists
//   tokenize     --text FILE                                   {"tokens":[…]}
//   greedy       --jobs FILE --count N                         FILE: [[ids…],…]; greedy ids and their top two logits
//   logits       --jobs FILE                                   FILE: {"tokens":[…],"positions":[…]}; one row each
//   nll          --jobs FILE                                   FILE: [{"tokens":[…],"first":i},…]; −ln p from there
import {createRequire} from "node:module";
import {readFileSync} from "node:fs";
import {pathToFileURL} from "node:url";
import path from "node:path";

function parse_arguments(argv) {
  const options = {command: argv[0], threads: 2, prefill: 512, decode: 128, depth: 0, rounds: 1, batch: 512, count: 64,
                   prompt: "Hello"};
  for (let i = 1; i < argv.length; i += 2) {
    const name = argv[i].replace(/^--/, "");
    if (!argv[i].startsWith("--") || argv[i + 1] === undefined)
      throw new Error(`expected --name value, found ${argv[i]}`);
    options[name] = typeof options[name] === "number" ? Number(argv[i + 1]) : argv[i + 1];
  }
  options.modules ??= process.env.ATELIER_PEER_MODULES;
  if (!options.modules) throw new Error("--modules DIR (a node_modules folder with node-llama-cpp) is missing");
  return options;
}

async function load_binding(modules) {
  const entry = createRequire(path.join(path.resolve(modules), "x.js")).resolve("node-llama-cpp");
  return import(pathToFileURL(entry));
}

const seconds_since = (start) => Number(process.hrtime.bigint() - start) / 1e9;

// The CPU variant that the dynamic loader chose is visible among the process's mapped files.
function loaded_variant() {
  const maps = readFileSync("/proc/self/maps", "utf8");
  return [...new Set([...maps.matchAll(/libggml-cpu[^/\s]*\.so/g)].map((m) => m[0]))].join(" ");
}

function peak_rss_bytes() {
  const line = readFileSync("/proc/self/status", "utf8").match(/VmHWM:\s+(\d+) kB/);
  return Number(line[1]) * 1024;
}

async function open_context(options, context_size) {
  const {getLlama, LlamaLogLevel} = await load_binding(options.modules);
  const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error,
                                maxThreads: options.threads});
  const model = await llama.loadModel({modelPath: options.model, gpuLayers: 0});
  const context = await model.createContext({contextSize: context_size, batchSize: options.batch,
                                             threads: {ideal: options.threads, min: options.threads},
                                             ignoreMemorySafetyChecks: true});
  return {llama, model, context, sequence: context.getSequence()};
}

// Fixed pseudo-random ids, the same every run; content does not change the cost of a dense model.
function sample_tokens(count, vocab_size) {
  const limit = Math.min(vocab_size, 30000) - 1000;
  let state = 12345;
  return Array.from({length: count}, () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return 500 + (state % limit);
  });
}

async function bench(options) {
  const {model, context, sequence} = await open_context(options, options.depth + options.prefill + options.decode + 8);
  const vocab_size = model.fileInfo.metadata?.tokenizer?.ggml?.tokens?.length ?? 32000;
  const ids = sample_tokens(options.depth + Math.max(options.prefill, 1), vocab_size);
  const rounds = [];
  await sequence.evaluateWithoutGeneratingNewTokens(ids.slice(0, 32));  // warm-up: pages the file in
  for (let round = 0; round < options.rounds; ++round) {
    await sequence.clearHistory();
    if (options.depth > 0) await sequence.evaluateWithoutGeneratingNewTokens(ids.slice(0, options.depth));
    let start = process.hrtime.bigint();
    await sequence.evaluateWithoutGeneratingNewTokens(ids.slice(options.depth, options.depth + options.prefill));
    const prefill_s = seconds_since(start);

    await sequence.clearHistory();
    await sequence.evaluateWithoutGeneratingNewTokens(ids.slice(0, Math.max(options.depth, 1)));
    let produced = 0;
    let first = 0n;
    for await (const token of sequence.evaluate([ids[0]], {temperature: 0, yieldEogToken: true})) {
      if (produced === 0) first = process.hrtime.bigint();
      void token;
      if (produced++ === options.decode) break;
    }
    rounds.push({prefill_tok_s: options.prefill / prefill_s, decode_tok_s: (produced - 1) / seconds_since(first)});
  }
  return {rounds, library: loaded_variant(), threads: context.currentThreads, peak_rss_bytes: peak_rss_bytes()};
}

async function first_token(options) {
  const {model, sequence} = await open_context(options, 512);
  const ids = model.tokenize(options.prompt, true);
  for await (const token of sequence.evaluate(ids, {temperature: 0, yieldEogToken: true}))
    return {event: "token", token, library: loaded_variant()};
}

async function tokenize(options) {
  const {getLlama, LlamaLogLevel} = await load_binding(options.modules);
  const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error});
  const model = await llama.loadModel({modelPath: options.model, vocabOnly: true});
  const bos = model.tokens.shouldPrependBosToken ? model.tokens.bos : null;
  return {tokens: model.tokenize(readFileSync(options.text, "utf8"), false), bos};
}

async function greedy(options) {
  const jobs = JSON.parse(readFileSync(options.jobs, "utf8"));
  const {sequence} = await open_context(options, Math.max(...jobs.map((j) => j.length)) + options.count + 8);
  const results = [];
  for (const prompt of jobs) {
    await sequence.clearHistory();
    const tokens = [];
    const top = [];
    let input = prompt;
    while (tokens.length < options.count) {
      const wanted = {generateNext: {token: true, logits: {filter: {tokens: [], includeTop: 2}},
                                     options: {temperature: 0}}};
      const output = await sequence.controlledEvaluate([...input.slice(0, -1), [input.at(-1), wanted]]);
      const next = output[input.length - 1].next;
      tokens.push(next.token);
      top.push([...next.logits.entries()].sort((a, b) => b[1] - a[1]).slice(0, 2));
      input = [next.token];
    }
    results.push({tokens, top});
  }
  return {results, library: loaded_variant()};
}

async function logits(options) {
  const {tokens, positions} = JSON.parse(readFileSync(options.jobs, "utf8"));
  const {sequence} = await open_context(options, tokens.length + 8);
  const wanted = new Set(positions);
  const all = {generateNext: {logits: true, options: {temperature: 0}}};
  const input = tokens.map((id, i) => wanted.has(i) ? [id, all] : id);
  const output = await sequence.controlledEvaluate(input);
  const row = (p) => [...output[p].next.logits.entries()].sort((a, b) => a[0] - b[0]).map((entry) => entry[1]);
  return {logits: positions.map(row), library: loaded_variant()};
}

async function nll(options) {
  const jobs = JSON.parse(readFileSync(options.jobs, "utf8"));
  const {sequence} = await open_context(options, Math.max(...jobs.map((j) => j.tokens.length)) + 8);
  const results = [];
  for (const {tokens, first} of jobs) {
    await sequence.clearHistory();
    // The position before a scored token gives its logits: logit(target), the maximum, and Σ exp(logit − maximum).
    const input = tokens.slice(0, -1).map((id, i) => i + 1 < first ? id : [id, {generateNext: {
      logits: {filter: {tokens: [tokens[i + 1]], includeTop: 1}}, totalLogitWeight: true, options: {temperature: 0}}}]);
    const output = await sequence.controlledEvaluate(input);
    const losses = [];
    for (let i = first; i < tokens.length; ++i) {
      const {logits, totalLogitWeight} = output[i - 1].next;
      const max = Math.max(...logits.values());
      losses.push(Math.log(totalLogitWeight) + max - logits.get(tokens[i]));
    }
    results.push(losses);
  }
  return {results, library: loaded_variant()};
}

const commands = {bench, "first-token": first_token, tokenize, greedy, logits, nll};
try {
  const options = parse_arguments(process.argv.slice(2));
  if (!(options.command in commands)) throw new Error(`unknown command ${options.command}`);
  process.stdout.write(JSON.stringify(await commands[options.command](options)) + "\n", () => process.exit(0));
} catch (error) {
  process.stderr.write(`llama_cpp.mjs: ${error.message}\n`);
  process.exit(1);
}
