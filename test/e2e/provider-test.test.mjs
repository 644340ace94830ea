// `runnel provider test`: one small question by the way of every turn, and what an operator is
// told of it, against every kind of provider and every usual mistake.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { start as startProvider } from '../providers/lib/index.mjs';
import { KEY, kinds, SECRET } from './lib/kinds.mjs';
import { cleanEnv, ms, run, scratch } from './lib/server.mjs';

const ANSWERS = 0, UNTRIED = 1, AWAY = 2, REFUSES = 3, FAILS = 4;

const settingsOf = (provider, model) => ({ providers: [{ name: 'it', ...provider }], models: model ? [{ name: 'm', targets: [{ provider: 'it', model }] }] : [] });

// { code, text, ...the JSON }, of one run in words and one in JSON that must agree.
async function probe(settings, args = []) {
  const file = join(scratch(), 'runnel.yaml');
  writeFileSync(file, typeof settings === 'string' ? settings : JSON.stringify(settings));
  const call = async (more) => {
    const r = await run(['provider', 'test', 'it', '--config', file, ...args, ...more], { env: cleanEnv(), timeout: ms(30000) });
    assert.equal(r.signal, null, r.stderr);
    for (const secret of [KEY, SECRET]) assert.doesNotMatch(r.stdout + r.stderr, new RegExp(secret), 'a key is shown');
    return r;
  };
  const told = await call(['--json']);
  assert.equal(told.stderr, '');
  const text = await call([]);
  assert.equal(text.stderr, '');
  assert.equal(text.code, told.code, 'two runs end differently');
  return { code: told.code, text: text.stdout, ...JSON.parse(told.stdout) };
}

// With a fake of that kind, twice the same script.
async function against(kind, { fake, answer, faults, settings, args, tls = false } = {}) {
  const p = await startProvider({ control: false, ...kind.fake, ...fake, tls });
  try {
    if (answer || faults) p.script({ answer: answer ?? {}, faults, times: 2 });
    const url = tls ? p.url.replace('127.0.0.1', 'localhost') : p.url;
    const got = await probe(settingsOf({ ...kind.settings(url), ...(tls && { ca_file: p.caFile }), ...settings }, kind.model), args);
    return { ...got, asked: p.requests() };
  } finally {
    await p.stop();
  }
}

function isOrdered(moments, names) {
  const known = names.map((n) => moments[n]);
  for (const [i, m] of known.entries()) {
    assert.equal(typeof m, 'number', `${names[i]} is missing in ${JSON.stringify(moments)}`);
    if (i) assert.ok(m >= known[i - 1], `${names[i]} is before ${names[i - 1]}: ${JSON.stringify(moments)}`);
  }
}

describe('a provider that answers', () => {
  for (const [name, kind] of Object.entries(kinds)) for (const tls of [false, true]) {
    test(`${name}${tls ? ', over TLS' : ''}`, { timeout: ms(60000) }, async () => {
      const got = await against(kind, { tls, answer: { text: 'OK', first: 50, gap: 30 } });
      assert.equal(got.code, ANSWERS, got.text);
      assert.deepEqual([got.answers, got.fault, got.hint, got.said, got.verdict], [true, null, null, 'OK', 'it answers']);
      assert.equal(got.status, name === 'spark' ? 101 : 200);
      isOrdered(got.milliseconds, ['named', 'connected', ...(tls ? ['secured'] : []), 'answered', 'first', 'over']);
      assert.equal(got.milliseconds.secured === null, !tls);
      assert.equal(got.milliseconds.tunnelled, null);
      assert.ok(Math.abs(got.clock_ahead_s) <= 2 || name === 'spark', `${got.clock_ahead_s}`);
      assert.match(got.text, /^verdict +it answers$/m);
      assert.match(got.text, /^it said +OK$/m);
      assert.match(got.text, /^first word +\d+\.\d ms$/m);
      assert.equal(got.asked.length, 2, 'one call each time');
      for (const q of got.asked) {
        assert.deepEqual(q.problems, []);
        assert.equal(kind.read(q).model, kind.model);
        assert.equal(kind.read(q).key, KEY);
      }
    });
  }

  test('the echo, which needs no network', async () => {
    const got = await probe({ providers: [{ name: 'it', kind: 'echo', tokens_per_second: 0 }], models: [{ name: 'm', targets: [{ provider: 'it' }] }] });
    assert.equal(got.code, ANSWERS);
    assert.deepEqual([got.milliseconds.named, got.status], [null, null]);
    assert.match(got.said, /OK/);
  });

  test('with thoughts and no word', async () => {
    const got = await against(kinds.openai, { answer: { reasoning: 'hm', text: '' } });
    assert.equal(got.code, ANSWERS, got.text);
    assert.ok(got.milliseconds.first > 0);
    assert.equal(got.said, null);
  });

  test('that wants to write on the operator\'s terminal', async () => {
    const got = await against(kinds.openai, { answer: { text: 'a\u001b[31m\u009b1mb' } });
    assert.equal(got.said, 'a\u001b[31m\u009b1mb');
    assert.match(got.text, /^it said +a\?\[31m\?1mb$/m);
  });

  test('at length: the beginning is shown', async () => {
    const got = await against(kinds.openai, { answer: { text: '你好'.repeat(3000) } });
    assert.equal(got.code, ANSWERS);
    assert.ok(got.said.length > 30 && Buffer.byteLength(got.said) <= 200);
    assert.doesNotMatch(got.said, /\ufffd/);
  });
});

describe('which model', () => {
  const asked = async (args, models) => {
    const p = await startProvider({ control: false, ...kinds.openai.fake });
    try {
      p.script({ answer: { text: 'OK' }, times: 2 });
      const got = await probe({ ...settingsOf(kinds.openai.settings(p.url)), ...models }, args);
      return [got.model, ...p.requests().map((q) => q.body.model)];
    } finally {
      await p.stop();
    }
  };
  const models = { models: [{ name: 'first', targets: [{ provider: 'it', model: 'fake-model' }] }, { name: 'second', targets: [{ provider: 'it', model: 'fake-embedding' }] }] };

  test('the first of the settings, one of the settings, one of its own', async () => {
    assert.deepEqual(await asked([], models), ['fake-model', 'fake-model', 'fake-model']);
    assert.deepEqual(await asked(['--model', 'second'], models), ['fake-embedding', 'fake-embedding', 'fake-embedding']);
    assert.deepEqual(await asked(['--model', 'fake-model'], {}), ['fake-model', 'fake-model', 'fake-model']);
  });
});

describe('a mistake', () => {
  // [what, of which kind, how the fake behaves, exit status, fault, hint]
  const refused = (status, error) => ({ answer: { status, error } });
  for (const [name, kind] of Object.entries(kinds).filter(([n]) => n !== 'ollama')) {
    test(`a bad key, ${name}`, async () => {
      const got = await against(kind, { settings: { api_key: 'sk-a-wrong-one-of-ours', ...(name === 'spark' && { api_secret: 'another' }) } });
      assert.equal(got.code, REFUSES, got.text);
      assert.equal(got.fault, 'service_denied');
      assert.match(got.hint, name === 'spark' ? /app_id, api_key and api_secret belong together/ : /^api_key: is it whole/);
      assert.ok(got.said?.length, 'the service\'s own words');
      assert.doesNotMatch(got.text, /sk-a-wrong-one/);
    });
  }

  test('no key at all', async () => {
    const got = await against(kinds.openai, { settings: { api_key: '' } });
    assert.deepEqual([got.code, got.fault], [REFUSES, 'service_denied']);
    assert.match(got.hint, /^there is no api_key: is the variable set/);
  });

  // In the words of the services.
  for (const [name, body] of [
    ['openai', '{"error":{"message":"The model `no-such-model` does not exist or you do not have access to it.","type":"invalid_request_error","param":null,"code":"model_not_found"}}'],
    ['vllm', '{"object":"error","message":"The model `no-such-model` does not exist.","type":"NotFoundError","param":null,"code":404}'],
    ['anthropic', '{"type":"error","error":{"type":"not_found_error","message":"model: no-such-model"}}'],
    ['ollama', '{"error":"model \'no-such-model\' not found"}'],
    ['dashscope text', null],                  // the fake says it itself
  ]) test(`an unknown model, ${name}`, async () => {
    const got = await against(kinds[name], {
      fake: { models: [kinds[name].model] }, args: ['--model', 'no-such-model'],
      answer: body ? { status: 404, raw: body, type: 'application/json' } : undefined });
    assert.equal(got.code, REFUSES, got.text);
    assert.equal(got.status, 404);
    assert.equal(got.hint, 'it does not seem to offer the model "no-such-model"; --model tries another name', got.text);
  });

  for (const [name, body] of [
    ['openai', '{"error":{"message":"Invalid URL (POST /v2/chat/completions)","type":"invalid_request_error","param":null,"code":null}}'],
    ['openai', '<html><head><title>404 Not Found</title></head><body>nginx</body></html>'],
    ['anthropic', '{"type":"error","error":{"type":"not_found_error","message":"Not Found"}}'],
    ['ollama', '404 page not found'],
    ['dashscope text', ''],
    ['spark', null],                           // the same for a WebSocket
  ]) test(`a wrong base_url, ${name}: ${body}`, async () => {
    const got = await against(kinds[name], { answer: { status: 404, ...(body !== null && { raw: body, type: 'text/plain' }) } });
    assert.equal(got.code, REFUSES, got.text);
    assert.equal(got.status, 404);
    assert.match(got.hint, new RegExp(`^is this a service of kind ${kinds[name].settings('').kind}\\? base_url is what stands before /`), got.text);
  });

  test('a page instead of an API', async () => {
    const got = await against(kinds.openai, { answer: { raw: '<html>welcome</html>', type: 'text/html' } });
    assert.notEqual(got.code, ANSWERS, got.text);
    assert.equal(got.answers, false);
  });

  test('a name that nobody knows', async () => {
    const got = await probe(settingsOf({ kind: 'openai', base_url: 'http://nowhere.invalid/v1', api_key: 'k' }, 'x'));
    assert.deepEqual([got.code, got.fault, got.status], [AWAY, 'unreachable', null]);
    assert.deepEqual([got.milliseconds.named, got.milliseconds.connected], [null, null]);
    assert.match(got.hint, /^nobody knows that host/);
    assert.match(got.text, /^why +unknown node/m);
  });

  test('a port where nobody is, also over TLS and WebSocket', async () => {
    for (const [kind, base_url] of [['openai', 'http://127.0.0.1:1/v1'], ['anthropic', 'https://127.0.0.1:1'], ['spark', 'ws://127.0.0.1:1']]) {
      const got = await probe(settingsOf({ kind, base_url, api_key: KEY, ...(kind === 'spark' && { app_id: 'a', api_secret: SECRET }) }, 'generalv3.5'));
      assert.deepEqual([got.code, got.fault], [AWAY, 'unreachable'], kind);
      assert.ok(got.milliseconds.named !== null && got.milliseconds.connected === null);
      assert.match(got.hint, /^nobody takes connections there/);
    }
  });

  for (const cert of ['expired', 'future', 'self-signed', 'wrong-ca', 'wrong-name']) test(`a certificate: ${cert}`, async () => {
    const got = await against(kinds.openai, { tls: cert });
    assert.deepEqual([got.code, got.fault], [AWAY, 'unreachable'], got.text);
    assert.ok(got.milliseconds.connected !== null && got.milliseconds.secured === null);
    assert.match(got.hint, /ca_file; the name in base_url must be the certificate's/);
  });

  test('https:// to a service that speaks none', async () => {
    const p = await startProvider({ control: false, ...kinds.openai.fake });
    const got = await probe(settingsOf({ ...kinds.openai.settings(p.url.replace('http:', 'https:')), tls_timeout: '2s' }, 'fake-model')).finally(() => p.stop());
    assert.deepEqual([got.code, got.fault], [AWAY, 'unreachable'], got.text);
    assert.match(got.hint, /^does it speak TLS at all\?/);
  });

  test('http:// to a service that speaks TLS only', async () => {
    const got = await against(kinds.openai, { answer: { status: 400, raw: 'The plain HTTP request was sent to HTTPS port' } });
    assert.equal(got.code, REFUSES);
    assert.match(got.hint, /^it speaks TLS: base_url begins with https:/);
  });

  test('a proxy that refuses', async () => {
    const proxy = net.createServer((s) => s.once('data', () => s.end('HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n'))).listen(0, '127.0.0.1');
    await new Promise((done) => proxy.once('listening', done));
    const got = await probe(settingsOf({ kind: 'openai', base_url: 'http://a.invalid/v1', proxy: `http://127.0.0.1:${proxy.address().port}`, api_key: KEY }, 'x')).finally(() => proxy.close());
    assert.deepEqual([got.code, got.fault], [AWAY, 'unreachable'], got.text);
    assert.match(got.hint, /^the proxy does not let this through/);
  });

  test('a clock that is off, where it is signed', async () => {
    for (const [by, word] of [[-3600, 'ahead of'], [3600, 'behind']]) {
      const got = await against(kinds.spark, { fake: { now: Date.now() + by * 1000 } });
      assert.deepEqual([got.code, got.fault, got.status], [REFUSES, 'service_denied', 403], got.text);
      assert.match(got.hint, new RegExp(`^this machine's clock is 3(59|60)\\d s ${word} theirs`));
      assert.ok(Math.abs(got.clock_ahead_s + by) < 10);
    }
  });

  test('no money, too many calls, trouble, a long silence, a cut', async () => {
    for (const [behaviour, settings, code, fault, hint] of [
      [refused(402, { message: 'Insufficient balance', code: 'x' }), {}, REFUSES, 'service_denied', /no money left/],
      [refused(429, { message: 'slow down', code: 'rate_limit_exceeded' }), {}, REFUSES, 'service_busy', /^the key works, and its limits/],
      [refused(500, { message: 'oops', code: 'x' }), {}, FAILS, 'service_failed', /^that is trouble of its own/],
      [{ answer: { text: 'OK', first: 30000 } }, { first_timeout: '300ms' }, AWAY, 'no_first_token', /longer first_timeout/],
      [{ answer: { text: 'OK OK OK OK' }, faults: { at: 30, then: 'reset' } }, {}, AWAY, 'cut', /end connections early/],
      [refused(400, { message: 'temperature is too hot', code: 'x' }), {}, REFUSES, 'not_accepted', /extra, api_version/],
    ]) {
      const got = await against(kinds.openai, { ...behaviour, settings });
      assert.deepEqual([got.code, got.fault], [code, fault], got.text);
      assert.match(got.hint, hint);
      assert.match(got.text, new RegExp(`^verdict .*\\(${fault}\\)$`, 'm'));
    }
  });

  test('a patience that is over', async () => {
    const got = await against(kinds.anthropic, { answer: { text: 'OK', first: 30000 }, args: ['--timeout', '1s'] });
    assert.deepEqual([got.code, got.fault], [AWAY, 'timeout'], got.text);
    assert.ok(got.milliseconds.over >= 1000 && got.milliseconds.over < ms(10000));
  });
});

test('what cannot be tried says why, and ends with 1', async () => {
  const file = join(scratch(), 'runnel.yaml');
  const cases = [
    [['provider', 'test', 'it'], settingsOf({ kind: 'openai', base_url: 'http://127.0.0.1:1/v1' }), /no model of the settings is the provider's; say one with --model/],
    [['provider', 'test', 'other'], settingsOf({ kind: 'echo' }), /there is no provider "other" in the settings/],
    [['provider', 'test', 'it'], settingsOf({ kind: 'openai', base_url: 'https://a.invalid', ca_file: '/nowhere.pem' }, 'x'), /the settings have mistakes: .*ca_file/],
    [['provider', 'test', 'it', '--timeout', 'soon'], settingsOf({ kind: 'echo' }), /--timeout expects a time/],
    [['provider', 'test'], settingsOf({ kind: 'echo' }), /it wants a NAME/],
    [['provider'], settingsOf({ kind: 'echo' }), /provider what\?/],
  ];
  for (const [args, settings, why] of cases) {
    writeFileSync(file, JSON.stringify(settings));
    const r = await run([...args, '--config', file].filter((a, i) => args.length > 1 || i < 1), { env: cleanEnv() });
    assert.equal(r.code, UNTRIED, args.join(' '));
    assert.equal(r.stdout, '');
    assert.match(r.stderr, why);
  }
  const help = await run(['provider', 'test', '--help']);
  assert.equal(help.code, 0);
  assert.match(help.stdout, /exit status: 0 it answers, 1 .*, 2 .*\n.* 3 it refuses .*, 4 it fails/);
});
