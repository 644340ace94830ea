// Pictures beside a text: told in each provider's own form, or refused before anybody is asked;
// never left out.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { start as startProvider } from '../providers/lib/index.mjs';
import { kinds } from './lib/kinds.mjs';
import { ms, start } from './lib/server.mjs';

const PNG = 'iVBORw0KGgo=';
const DATA = `data:image/png;base64,${PNG}`;
const WEB = 'https://pictures.example/猫.png';
const TEXT = '这是什么 👀';
const AUDIO = { type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } };
const picture = (url) => ({ type: 'image_url', image_url: { url, detail: 'low' } });
const said = { type: 'text', text: TEXT };

// What stands in the request where the last message's parts are; null: it is refused.
const openai = (q) => q.body.messages.at(-1).content;
const anthropic = (q) => q.body.messages.at(-1).content;
const rows = {
  openai: { of: 'openai', read: openai, web: [said, picture(WEB)], data: [said, picture(DATA)], audio: [said, AUDIO] },
  anthropic: { of: 'anthropic', read: anthropic,
    web: [said, { type: 'image', source: { type: 'url', url: WEB } }],
    data: [said, { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PNG } }] },
  'a model of dashscope': { of: 'dashscope text', read: (q) => [/multimodal-generation/.test(q.path), q.body.input.messages.at(-1).content],
    web: [true, [{ text: TEXT }, { image: WEB }]], data: [true, [{ text: TEXT }, { image: DATA }]] },
  'an application of dashscope': { of: 'dashscope app', read: (q) => [q.body.input.prompt, q.body.input.image_list], web: [TEXT, [WEB]], data: null, audio: null, before: null },
  ollama: { of: 'ollama', read: (q) => q.body.messages.at(-1), web: null, data: { role: 'user', content: TEXT, images: [PNG] }, audio: null },
  spark: { of: 'spark', web: null, data: null, audio: null, before: null },
};
const asks = { web: [said, picture(WEB)], data: [said, picture(DATA)], audio: [said, AUDIO] };

const ask = (server, model, messages, more = {}, path = '/v1/chat/completions') => fetch(`http://127.0.0.1:${server.port}${path}`, {
  method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model, messages, ...more }) });
async function isRefused(res, fake) {
  const { error } = await res.json();
  assert.deepEqual([res.status, error.code, error.type], [400, 'not_offered', 'invalid_request_error']);
  assert.equal(fake.requests().length, 0, 'it was asked all the same');
}

for (const [name, row] of Object.entries(rows)) describe(name, () => {
  const kind = kinds[row.of];
  let fake, server;
  before(async () => {
    fake = await startProvider({ control: false, ...kind.fake });
    server = await start({ providers: [{ name: 'p', ...kind.settings(fake.url), retries: 0 }], models: [{ name: 'm', targets: [{ provider: 'p', model: kind.model }] }] });
  });
  after(async () => {
    await server?.stop();
    await fake?.stop();
  });
  for (const [what, parts] of Object.entries(asks)) if (row[what] !== undefined) for (const stream of [false, true])
    test(`${what}, ${stream ? 'as a stream' : 'whole'}: ${row[what] ? 'in its own form' : 'refused'}`, async () => {
      fake.forget();
      const res = await ask(server, 'm', [{ role: 'user', content: parts }], { stream });
      if (row[what] === null) {
        await isRefused(res, fake);
        return;
      }
      assert.equal(res.status, 200, await res.clone().text());
      await res.text();
      assert.deepEqual(row.read(fake.requests()[0]), row[what]);
    });
  if (row.before === null) test('a picture that was shown before: refused', async () => {
    fake.forget();
    await isRefused(await ask(server, 'm', [{ role: 'user', content: asks.web }, { role: 'assistant', content: '猫' }, { role: 'user', content: 'more' }]), fake);
  });
  test('texts in parts are no pictures', async () => {
    const res = await ask(server, 'm', [{ role: 'user', content: [said, { type: 'text', text: '?' }] }]);
    assert.equal(res.status, 200);
    assert.equal((await res.json()).choices[0].message.content.replaceAll(/\s/g, ''), `${TEXT}?`.replaceAll(/\s/g, ''));
  });
});

describe('a model with several targets', () => {
  let blind, seeing, server;
  before(async () => {
    blind = await startProvider({ control: false, ...kinds.spark.fake });
    seeing = await startProvider({ control: false, ...kinds.openai.fake });
    const of = (name, kind, fake) => ({ name, ...kinds[kind].settings(fake.url), retries: 0, breaker_failures: 0 });
    server = await start({ providers: [of('blind', 'spark', blind), of('seeing', 'openai', seeing)],
      models: [{ name: 'm', targets: [{ provider: 'blind', model: 'generalv3.5' }, { provider: 'seeing', model: 'fake-model' }] }] });
  });
  after(async () => {
    await server?.stop();
    await Promise.all([blind, seeing].map((p) => p?.stop()));
  });
  test('a picture goes to the one that takes it, a text to the first', async () => {
    assert.equal((await ask(server, 'm', [{ role: 'user', content: asks.web }])).status, 200);
    assert.deepEqual([blind.requests().length, seeing.requests().length], [0, 1]);
    assert.equal((await ask(server, 'm', [{ role: 'user', content: TEXT }])).status, 200);
    assert.deepEqual([blind.requests().length, seeing.requests().length], [1, 1]);
  });
  test('the same at DB-GPT\'s door', async () => {
    seeing.forget();
    const res = await ask(server, 'm', [{ role: 'user', content: asks.data }], { stream: false }, '/api/v2/chat/completions');
    assert.deepEqual([res.status, (await res.json()).choices[0].message.content], [200, TEXT]);
    assert.deepEqual(seeing.requests()[0].body.messages.at(-1), { role: 'user', content: asks.data });
  });
  test('where that one fails, nobody else is shown half of it', async () => {
    seeing.script({ answer: { status: 500, error: { message: 'no' } }, times: 1 });
    const res = await ask(server, 'm', [{ role: 'user', content: asks.data }]);
    assert.deepEqual([res.status, (await res.json()).error.code, blind.requests().length], [502, 'service_failed', 1]);
  });
  test('DB-GPT\'s door says it in its own words', async () => {
    await server.stop();
    server = await start({ providers: [{ name: 'p', ...kinds.spark.settings(blind.url) }], models: [{ name: 'm', targets: [{ provider: 'p', model: 'generalv3.5' }] }] });
    const res = await ask(server, 'm', [{ role: 'user', content: asks.web }], {}, '/api/v2/chat/completions');
    const { err_code, error } = await res.json();
    assert.deepEqual([res.status, err_code, error.code], [400, 'E0003', 'not_offered']);
  });
  test('nothing of it waits', async () => {
    const began = performance.now();
    await ask(server, 'm', [{ role: 'user', content: asks.web }]);
    assert.ok(performance.now() - began < ms(500));
  });
});
