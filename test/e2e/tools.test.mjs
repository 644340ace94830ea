// Tools that are run here: a model calls them, hears what they came to, and goes on. The fake
// provider plays the model; what it was sent tells what runnel made of its calls.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import OpenAI from 'openai';
import { start as startProvider } from '../providers/lib/index.mjs';
import { duration, ms, start } from './lib/server.mjs';

const calculator = (id, expression) => ({ id, name: 'calculator', arguments: JSON.stringify({ expression }) });

let provider, server, openai;
before(async () => {
  provider = await startProvider({ kind: 'openai' });
  const common = { kind: 'openai', retries: 1, breaker_failures: 0, connect_timeout: duration(500), first_timeout: duration(2000), idle_timeout: duration(2000) };
  server = await start({
    turns: { max_rounds: 3 },
    providers: [{ name: 'fake', base_url: `http://127.0.0.1:${provider.port}/v1`, api_key: 'sk-1', ...common }],
    models: [{ name: 'm', targets: [{ provider: 'fake' }], tools: ['now', 'calculator', 'search_conversations'] },
      { name: 'plain', targets: [{ provider: 'fake' }] }],
  });
  openai = new OpenAI({ baseURL: `http://127.0.0.1:${server.port}/v1`, apiKey: 'none', maxRetries: 0 });
});
after(async () => {
  await server.metricBecomes('runnel_turns_running', 0);
  await server.stop();
  await provider.stop();
});

// The answers of one turn, one for each round; the last one stays.
function play(...rounds) {
  provider.clear();
  provider.forget();
  for (const answer of rounds) provider.script({ answer, times: 1 });
}
const CALL = { finish: 'tools', usage: { input: 10, output: 5 } };
const SAYS = (text) => ({ text, usage: { input: 20, output: 7 } });

const ask = (more = {}) => openai.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'how much?' }], ...more });
async function stream(more = {}) {
  const seen = { text: '', calls: [], finish: null, usage: null };
  for await (const chunk of await ask({ stream: true, stream_options: { include_usage: true }, ...more })) {
    seen.text += chunk.choices[0]?.delta?.content ?? '';
    seen.calls.push(...chunk.choices[0]?.delta?.tool_calls ?? []);
    seen.finish = chunk.choices[0]?.finish_reason ?? seen.finish;
    seen.usage = chunk.usage ?? seen.usage;
  }
  return seen;
}
const results = (n) => provider.requests()[n].body.messages.filter((m) => m.role === 'tool').map((m) => m.content);

describe('a model uses tools', () => {
  test('they are on offer, with names, words and schemas', async () => {
    play(SAYS('hello'));
    await ask();
    const tools = provider.requests()[0].body.tools;
    assert.deepEqual(tools.map((t) => t.function.name), ['now', 'calculator', 'search_conversations']);
    for (const t of tools) assert.ok(t.type === 'function' && t.function.description && t.function.parameters.type === 'object');
    assert.deepEqual(provider.requests()[0].problems, []);
  });

  test('a model without tools is offered none', async () => {
    play(SAYS('hello'));
    await ask({ model: 'plain' });
    assert.equal(provider.requests()[0].body.tools, undefined);
  });

  test('one round: the call is run, its result goes back, and only words reach the client', async () => {
    play({ ...CALL, text: 'Let me see. ', tools: [calculator('c1', '6*7')] }, SAYS('It is 42.'));
    const got = await stream();
    assert.equal(got.text, 'Let me see. It is 42.');
    assert.deepEqual(got.calls, []);
    assert.equal(got.finish, 'stop');
    assert.deepEqual([got.usage.prompt_tokens, got.usage.completion_tokens], [30, 12], 'of both rounds');
    assert.deepEqual(provider.requests()[1].body.messages.slice(1), [
      { role: 'assistant', content: 'Let me see. ', tool_calls: [{ id: 'c1', type: 'function', function: { name: 'calculator', arguments: '{"expression":"6*7"}' } }] },
      { role: 'tool', tool_call_id: 'c1', content: '{"result":42}' }]);
    assert.deepEqual(provider.requests()[1].problems, []);
  });

  test('a call whose name comes behind its id is run', async () => {
    play({ ...CALL, style: 'late-name', tools: [calculator('c1', '6*7'), calculator('c2', '1+1')] }, SAYS('It is 42.'));
    const got = await stream();
    assert.deepEqual([got.text, got.calls, got.finish], ['It is 42.', [], 'stop']);
    assert.deepEqual(results(1), ['{"result":42}', '{"result":2}']);
    assert.deepEqual(provider.requests()[1].body.messages[1].tool_calls.map((c) => [c.id, c.function.name]), [['c1', 'calculator'], ['c2', 'calculator']]);
  });

  test('the same, whole', async () => {
    play({ ...CALL, tools: [calculator('c1', '1/4')] }, SAYS('A quarter.'));
    const got = await ask();
    assert.equal(got.choices[0].message.content, 'A quarter.');
    assert.equal(got.choices[0].message.tool_calls, undefined);
    assert.equal(got.choices[0].finish_reason, 'stop');
    assert.equal(got.usage.total_tokens, 42);
    assert.equal(provider.requests()[1].body.messages[1].content, null);
  });

  test('two rounds, and two calls of one round: results in their order', async () => {
    play({ ...CALL, tools: [calculator('a', '1+1'), { id: 'b', name: 'now', arguments: '{"utc_offset":"+08:00"}' }] },
      { ...CALL, text: 'And ', tools: [calculator('c', '2^10')] }, SAYS('done'));
    assert.equal((await stream()).text, 'And done');
    assert.match(results(1)[1], /^\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+08:00","unix":\d+\}$/);
    assert.equal(results(1)[0], '{"result":2}');
    assert.deepEqual(results(2).map((r, i) => (i === 1 ? '' : r)), ['{"result":2}', '', '{"result":1024}']);
    assert.deepEqual(provider.requests()[2].body.messages.map((m) => m.role), ['user', 'assistant', 'tool', 'tool', 'assistant', 'tool']);
  });

  for (const [what, call, message, error] of [
    ['a tool that is not there', { id: 'x', name: 'fly', arguments: '{}' }, 'There is no tool named fly', 'unknown_tool'],
    ['arguments that are no JSON', { id: 'x', name: 'calculator', arguments: '{"expression": ' }, 'Invalid tool call arguments for tool calculator', null],
    ['arguments that are no object', { id: 'x', name: 'calculator', arguments: '[1]' }, 'Invalid tool call arguments for tool calculator', 'they are no object'],
    ['a tool that fails', calculator('x', '1/0'), 'An error occurred while executing calculator', 'something is divided by zero'],
    ['a search where nothing is kept', { id: 'x', name: 'search_conversations', arguments: '{"query":"hello"}' },
      'An error occurred while executing search_conversations', 'no conversations are kept for whoever asks'],
  ]) {
    test(`${what}: the model is told, and goes on`, async () => {
      play({ ...CALL, tools: [call] }, SAYS('Sorry.'));
      assert.equal((await stream()).text, 'Sorry.');
      const told = JSON.parse(results(1)[0]);
      assert.deepEqual([told.type, told.message, told.details], ['error', message, null]);
      if (error) assert.equal(told.error, error);
    });
  }

  test('a time is told for what is written like an offset, and for nothing else', async () => {
    const good = ['+00:00', '-03:30', '+14:00', '-14:00'];
    const bad = ['+1:2"x', '+ 8:00', '+08:60', '+14:01', '-15:00', '+-1:00', '+08:0x', '+8:000', '08:00', '+08:00 ', '+08-00', 'UTC'];
    const call = (utc_offset, i) => ({ id: `c${i}`, name: 'now', arguments: JSON.stringify({ utc_offset }) });
    play({ ...CALL, tools: [...good, ...bad].map(call) }, SAYS('Late.'));
    assert.equal((await stream()).text, 'Late.');
    const told = results(1).map((r) => JSON.parse(r));
    assert.deepEqual(told.slice(0, 4).map((t) => t.time.slice(19)), good);
    assert.deepEqual(told.slice(4).map((t) => t.error), bad.map(() => 'utc_offset must be written like +08:00'));
  });

  test('calls without arguments', async () => {
    play({ ...CALL, tools: [{ id: 'x', name: 'now', arguments: '' }] }, SAYS('Late.'));
    assert.equal((await stream()).text, 'Late.');
    assert.match(results(1)[0], /Z","unix"/);
  });

  test('no more rounds than the settings allow', async () => {
    const again = { ...CALL, text: '.', tools: [calculator('c', '1')] };
    play(again, again, again, again, again);
    const seen = [];
    await assert.rejects(async () => {
      for await (const c of await ask({ stream: true })) seen.push(c.choices[0]?.delta?.content ?? '');
    }, /went on using tools/);
    assert.equal(seen.join(''), '....');
    assert.equal(provider.requests().length, 4);
  });

  test('a provider that fails in the second round is asked again, while that round is silent', async () => {
    play({ ...CALL, text: 'One ', tools: [calculator('c', '1')] }, { status: 503, error: { message: 'not now' } }, SAYS('two.'));
    assert.equal((await stream()).text, 'One two.');
    assert.equal(provider.requests().length, 3);
  });

  test('a tool that must be used is so once', async () => {
    play({ ...CALL, tools: [calculator('c', '1')] }, SAYS('fine'));
    await stream({ tool_choice: 'required' });
    assert.deepEqual(provider.requests().map((r) => r.body.tool_choice), ['required', undefined]);
  });

  test('whoever leaves while the model goes on ends that, too', async () => {
    play({ ...CALL, tools: [calculator('c', '1')] }, { ...SAYS('never read'), first: ms(20000) });
    const leaving = new AbortController();
    const asked = assert.rejects(openai.chat.completions.create({ model: 'm', stream: true, messages: [{ role: 'user', content: 'x' }] }, { signal: leaving.signal })
      .then(async (all) => { for await (const c of all) assert.ok(!c.choices[0].finish_reason); throw new Error('gone'); }));
    while (provider.requests().length < 2) await new Promise((go) => setTimeout(go, 10));
    leaving.abort();
    await asked;
    await server.metricBecomes('runnel_turns_running', 0);
    await provider.settled(2);
    assert.equal(provider.requests()[1].complete, false);
  });
});

describe('tools of the client beside ours', () => {
  const theirs = { type: 'function', function: { name: 'open_door', parameters: { type: 'object', properties: {} } } };

  test('a call of his goes to him', async () => {
    play({ ...CALL, tools: [{ id: 'd', name: 'open_door', arguments: '{}' }] });
    const got = await ask({ tools: [theirs] });
    assert.deepEqual(got.choices[0].message.tool_calls, [{ id: 'd', type: 'function', function: { name: 'open_door', arguments: '{}' } }]);
    assert.equal(got.choices[0].finish_reason, 'tool_calls');
    assert.deepEqual(provider.requests()[0].body.tools.map((t) => t.function.name), ['open_door', 'now', 'calculator', 'search_conversations']);
  });

  test('after a round of ours his call is still the first he hears of', async () => {
    play({ ...CALL, tools: [calculator('c', '3*3')] }, { ...CALL, tools: [{ id: 'd', name: 'open_door', arguments: '{"n":9}' }] });
    const got = await stream({ tools: [theirs] });
    assert.equal(got.finish, 'tool_calls');
    assert.deepEqual(got.calls.map((c) => c.index), got.calls.map(() => 0));
    assert.equal(got.calls.map((c) => c.function.arguments ?? '').join(''), '{"n":9}');
  });

  test('both in one round: ours is run, and then it is his turn', async () => {
    play({ ...CALL, tools: [calculator('c', '3*3'), { id: 'd', name: 'open_door', arguments: '{}' }] });
    const got = await ask({ tools: [theirs] });
    assert.deepEqual(got.choices[0].message.tool_calls.map((c) => c.id), ['d']);
    assert.equal(provider.requests().length, 1);
  });

  test('of one name his is meant', async () => {
    play({ ...CALL, tools: [calculator('c', '3*3')] });
    const got = await ask({ tools: [{ type: 'function', function: { name: 'calculator', parameters: { type: 'object', properties: {} } } }] });
    assert.deepEqual(got.choices[0].message.tool_calls.map((c) => c.id), ['c']);
  });
});
