// Tasks that the assistant works on, and commands for its plugins.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { BORIS, Person, stage } from './lib/assistant.mjs';
import { becomesReady } from './lib/database.mjs';
import { duration, eventually, ms } from './lib/server.mjs';

const HELLO = '你好，世界 👩‍👩‍👧 "q" \\';
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/;
const NEWS = '今天的新闻';                          // for the cloud
const task = { task_type: 'report', description: HELLO, parameters: { 城市: '北京', n: 2 }, priority: 2, timeout_seconds: 50 };

let s, kept, bare;
before(async () => {
  s = await stage();
  kept = await s.serve();
  bare = await s.serve({ kept: false });
});
after(() => s?.remove());
beforeEach(() => s.forget());

const put = (p, more = {}) => p.get('/api/v1/tasks', { method: 'POST', body: { ...task, ...more } });
const look = (p, id) => p.get(`/api/v1/tasks/${id}`);
const becomes = (p, id, status, timeout = ms(8000)) => eventually(async () => {
  const t = await look(p, id);
  assert.equal(t.status, status, JSON.stringify(t));
  return t;
}, timeout);
const refused = async (r, status, detail) => assert.deepEqual([(await r).status, await (await r).json()], [status, { detail }]);

for (const [where, on] of [['with a database', () => kept], ['without one', () => bare]]) describe(`tasks, ${where}`, () => {
  let anna, boris;
  before(() => {
    anna = new Person(on());
    boris = new Person(on(), BORIS);
  });
  test('are put down, worked on, and done', async () => {
    s.near.script({ answer: { text: HELLO, first: ms(150), usage: { input: 3, output: 4 } }, times: 1 });
    const { task_id, created_at, updated_at, ...rest } = await put(anna);
    assert.deepEqual(rest, { status: 'created', message: '任务已创建', progress: 0, result: null, error: null });
    assert.match(created_at, ISO);
    assert.match(updated_at, ISO);
    const running = await becomes(anna, task_id, 'running');
    assert.deepEqual([running.message, running.progress, running.result, running.error], ['任务执行中', 0, null, null]);
    const done = await becomes(anna, task_id, 'completed');
    assert.deepEqual([done.task_id, done.message, done.progress, done.result, done.error], [task_id, '任务已完成', 100, { content: HELLO, token_count: 4 }, null]);
    assert.ok(done.updated_at >= done.created_at);
    assert.deepEqual(await look(anna, task_id), done, 'and stays so');
  });
  test('the model is told what is to be done, and nothing else', async () => {
    const { task_id } = await put(anna, { description: NEWS });
    await becomes(anna, task_id, 'completed');
    const [asked] = s.asked('far');
    assert.deepEqual(asked.messages, [{ role: 'user', content: `任务类型: report\n任务描述: ${NEWS}\n任务参数: {"城市":"北京","n":2}` }]);
    assert.deepEqual([asked.max_tokens, asked.temperature], [1024, 0.7]);
  });
  test('are found by who put them down', async () => {
    const { task_id } = await put(anna);
    await refused(boris.fetch(`/api/v1/tasks/${task_id}`), 404, '任务不存在');
    await becomes(anna, task_id, 'completed');
    await refused(boris.fetch(`/api/v1/tasks/${task_id}`), 404, '任务不存在');
    await refused(anna.fetch('/api/v1/tasks/nothing'), 404, '任务不存在');
    await refused(anna.fetch('/api/v1/tasks/a%00b'), 404, '任务不存在');
  });
  test('go on with the other model when one fails', async () => {
    s.far.script({ answer: { status: 500, error: { message: 'no' } }, times: 1 });
    const { task_id } = await put(anna, { description: NEWS });
    assert.ok((await becomes(anna, task_id, 'completed')).result.content.includes(NEWS));
    assert.deepEqual([s.far.requests().length, s.near.requests().length], [1, 1]);
  });
  test('fail when both do, and say why', async () => {
    for (const p of [s.near, s.far]) p.script({ answer: { status: 500, error: { message: 'no' } }, times: 1 });
    const { task_id } = await put(anna);
    const failed = await becomes(anna, task_id, 'failed');
    assert.deepEqual([failed.message, failed.result, failed.progress, failed.error], ['任务失败', null, 0, 'the model service failed']);
  });
  test('half an answer is no result', async () => {
    for (const p of [s.near, s.far]) p.script({ answer: { text: HELLO, end: false, finish: null }, times: 1 });
    const { task_id } = await put(anna);
    const failed = await becomes(anna, task_id, 'failed');
    assert.deepEqual([failed.result, failed.progress], [null, 0]);
    assert.ok(failed.error);
  });
  test('end when their time is over, and the model is let go', async () => {
    for (const p of [s.near, s.far]) p.script({ answer: { text: HELLO.repeat(30), gap: ms(100) }, times: 1 });
    const began = performance.now();
    const { task_id } = await put(anna, { timeout_seconds: 1 });
    const failed = await becomes(anna, task_id, 'failed');
    assert.deepEqual([failed.result, failed.error], [null, 'the answer took too long and was ended']);
    assert.ok(performance.now() - began > 900);
    await eventually(() => assert.ok([...s.near.requests(), ...s.far.requests()][0].clientClosed));
  });
  for (const [field, value] of [['task_type', undefined], ['task_type', ''], ['description', 5], ['description', 'x'.repeat(10001)], ['parameters', []], ['priority', 'high'],
    ['timeout_seconds', 1.5], ['timeout_seconds', 0], ['timeout_seconds', 86401]])
    test(`without a good ${field} (${JSON.stringify(value)?.slice(0, 20)}) they are not begun`, async () => {
      const r = await anna.post('/api/v1/tasks', { ...task, [field]: value });
      assert.deepEqual([r.status, (await r.json()).error.details.field], [400, field]);
      assert.equal(s.near.requests().length + s.far.requests().length, 0);
    });
  test('only the type and the description are needed', async () => {
    const { task_id } = await put(anna, { parameters: null, priority: null, timeout_seconds: null });
    assert.equal((await becomes(anna, task_id, 'completed')).result.content, `任务类型: report\n任务描述: ${HELLO}`);
  });
});

describe('tasks and who serves them', () => {
  test('without a database the oldest is forgotten, and is not worked on any more', async () => {
    const p = new Person(await s.serve({ kept: false, assistant: { max_tasks: 2 } }));
    for (const one of [s.near, s.far]) one.script({ answer: { text: HELLO.repeat(100), gap: ms(50) }, times: 1 });
    const ids = [(await put(p)).task_id];
    await becomes(p, ids[0], 'running');
    for (let i = 0; i < 2; i++) ids.push((await put(p)).task_id);
    await refused(p.fetch(`/api/v1/tasks/${ids[0]}`), 404, '任务不存在');
    await eventually(() => assert.ok(s.near.requests()[0].clientClosed));
    for (const id of ids.slice(1)) await becomes(p, id, 'completed');
  });
  test('with one, none is forgotten, and every instance knows them', async () => {
    const one = await s.serve({ assistant: { max_tasks: 1 } });
    const p = new Person(one);
    const ids = [];
    for (let i = 0; i < 3; i++) ids.push((await put(p, { description: `task ${i}` })).task_id);
    for (const id of ids) await becomes(p, id, 'completed');
    const other = await s.serve({ beside: one });
    await becomesReady(other, ms(10000));
    for (const [i, id] of ids.entries()) assert.ok((await look(new Person(other), id)).result.content.includes(`task ${i}`));
    await refused(new Person(other, BORIS).fetch(`/api/v1/tasks/${ids[0]}`), 404, '任务不存在');
  });
  test('one that runs elsewhere is seen to run, and one whose process dies has failed', async () => {
    const one = await s.serve({ turns: { lease: '1s', journal_every: '100ms' } });
    const other = await s.serve({ beside: one, turns: { lease: '1s', journal_every: '100ms' } });
    s.near.script({ answer: { text: HELLO.repeat(100), gap: ms(100) }, times: 1 });
    const { task_id } = await put(new Person(one));
    await becomes(new Person(other), task_id, 'running');
    one.kill('SIGKILL');
    s.servers.splice(s.servers.indexOf(one), 1);
    const failed = await becomes(new Person(other), task_id, 'failed', ms(15000));
    assert.deepEqual([failed.result, failed.progress], [null, 0]);
    assert.ok(failed.error);
  });
  test('they are no sessions, and are not remembered as talk', async () => {
    const p = new Person(await s.serve());
    await becomes(p, (await put(p)).task_id, 'completed');
    assert.deepEqual(await p.get('/api/v1/sessions'), []);
    assert.equal((await p.get('/api/v1/memory/query', { method: 'POST', body: { query_text: '任务' } })).total_count, 0);
  });
  test('a turn that is not let in fails its task', async () => {
    const p = new Person(await s.serve({ turns: { max_running: 1, max_waiting: 0, max_wait: duration(100) } }));
    for (const one of [s.near, s.far]) one.script({ answer: { text: HELLO.repeat(20), gap: ms(50) }, times: 1 });
    const running = (await put(p)).task_id;
    await becomes(p, running, 'running');
    const failed = await becomes(p, (await put(p)).task_id, 'failed');
    assert.ok(failed.error);
    await becomes(p, running, 'completed', ms(20000));
  });
  test('what is running at the end may end, within its time', async () => {
    const own = await s.serve({ kept: false });
    for (const one of [s.near, s.far]) one.script({ answer: { text: HELLO, gap: ms(30) }, times: 1 });
    const p = new Person(own);
    await becomes(p, (await put(p)).task_id, 'running');
    await own.stop();
    s.servers.splice(s.servers.indexOf(own), 1);
    assert.deepEqual([...s.near.requests(), ...s.far.requests()].map((r) => r.complete), [true]);
  });
});

describe('commands for plugins', () => {
  const plugins = [{ name: 'weather_plugin', description: '天气', prompt: 'Tell the weather.' }, { name: 'off', enabled: false }];
  let p;
  before(async () => { p = new Person(await s.serve({ kept: false, assistant: { plugins } })); });
  const execute = (body) => p.get('/api/v1/plugins/execute', { method: 'POST', body });

  for (const [names, body] of [['one client', { plugin: 'weather_plugin', command: '查询 👀', args: { city: '北京' } }],
    ['another', { plugin_name: 'weather_plugin', command: '查询 👀', parameters: { city: '北京' }, session_id: 's' }]])
    test(`as ${names} writes them`, async () => {
      s.far.script({ answer: { text: HELLO }, times: 1 });
      const { execution_time_ms, ...rest } = await execute(body);
      assert.deepEqual(rest, { plugin_name: 'weather_plugin', command: '查询 👀', result: HELLO, success: true, error: null });
      assert.ok(execution_time_ms > 0);
      assert.deepEqual(s.asked('far')[0].messages, [{ role: 'system', content: 'Tell the weather.' }, { role: 'user', content: '查询 👀\n参数: {"city":"北京"}' }]);
    });
  test('without arguments the command is all that is asked', async () => {
    await execute({ plugin: 'weather_plugin', command: 'now', args: {} });
    assert.equal(s.asked('near')[0].messages[1].content, 'now');
  });
  test('a failure is told as one, and half an answer as none', async () => {
    for (const script of [{ answer: { status: 500, error: { message: 'no' } } }, { answer: { text: HELLO, end: false, finish: null } }]) {
      for (const one of [s.near, s.far]) one.script({ ...script, times: 1 });
      const { success, result, error } = await execute({ plugin: 'weather_plugin', command: 'x' });
      assert.deepEqual([success, result, typeof error], [false, null, 'string']);
      s.forget();
    }
  });
  test('are refused where there is no such plugin, or it is off', async () => {
    await refused(p.post('/api/v1/plugins/execute', { plugin: 'nothing', command: 'x' }), 404, '插件不存在');
    await refused(p.post('/api/v1/plugins/execute', { plugin: 'off', command: 'x' }), 400, '插件未启用');
    await refused(new Person(p.server, null).post('/api/v1/plugins/execute', {}), 401, '缺少认证信息');
    for (const [field, body] of [['plugin', { command: 'x' }], ['plugin', { plugin: 1, command: 'x' }], ['command', { plugin: 'off' }], ['command', { plugin: 'off', command: '' }],
      ['command', { plugin: 'off', command: 'x'.repeat(10001) }], ['args', { plugin: 'off', command: 'x', args: [] }]]) {
      const r = await p.post('/api/v1/plugins/execute', body);
      assert.deepEqual([r.status, (await r.json()).error.details.field], [400, field]);
    }
    assert.equal(s.near.requests().length + s.far.requests().length, 0);
  });
});
