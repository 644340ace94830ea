// The client libraries people use, unchanged, against the running program.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { ChatOpenAI } from '@langchain/openai';
import { generateText, streamText } from 'ai';
import OpenAI from 'openai';
import { ms, start } from './lib/server.mjs';

const texts = {
  English: 'The quick brown fox jumps over the lazy dog.',
  Chinese: '\u4f60\u597d\uff0c\u4e16\u754c\uff01\u4eca\u5929\u5929\u6c14\u5f88\u597d\u3002',
  emoji: 'ok \u{1f469}\u200d\u{1f469}\u200d\u{1f467}\u200d\u{1f466} \u{1f3f3}\ufe0f\u200d\u{1f308} \u{1f44d}\u{1f3fd} done',
  'lines and marks': 'a\n\n- b\n```c\n\td "e" \\f\n```\ndata: [DONE]\n\nend',
};
const ask = (content, more) => ({ model: 'echo', messages: [{ role: 'user', content }], ...more });

let server;
let slowServer;
let base;
before(async () => {
  const echo = (tokens_per_second) => ({ providers: [{ name: 'echo', kind: 'echo', tokens_per_second }] });
  server = await start(echo(300));
  slowServer = await start(echo(5));
  base = `http://127.0.0.1:${server.port}/v1`;
});
after(() => Promise.all([server, slowServer].map((s) => s?.stop())));

describe('openai', () => {
  const client = (url = base) => new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0, timeout: ms(10000) });

  for (const [name, text] of Object.entries(texts)) {
    test(`a stream, chunk by chunk: ${name}`, async () => {
      let got = '';
      let finish;
      for await (const part of await client().chat.completions.create(ask(text, { stream: true }))) {
        got += part.choices[0]?.delta?.content ?? '';
        finish = part.choices[0]?.finish_reason ?? finish;
      }
      assert.equal(got, text);
      assert.equal(finish, 'stop');
    });

    test(`the stream helper: ${name}`, async () => {
      const stream = client().chat.completions.stream(ask(text, { stream_options: { include_usage: true } }));
      let got = '';
      stream.on('content', (delta) => { got += delta; });
      const message = await stream.finalMessage();
      const whole = await stream.finalChatCompletion();
      assert.equal(got, text);
      assert.equal(message.content, text);
      assert.equal(message.role, 'assistant');
      assert.equal(whole.choices[0].finish_reason, 'stop');
      const usage = await stream.totalUsage();
      assert.ok(usage.prompt_tokens > 0 && usage.completion_tokens > 0);
      assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    });

    test(`an answer in one piece: ${name}`, async () => {
      const { data, request_id } = await client().chat.completions.create(ask(text)).withResponse();
      assert.equal(data.choices[0].message.content, text);
      assert.equal(data.choices[0].finish_reason, 'stop');
      assert.ok(data.usage.total_tokens > 0);
      assert.ok(request_id);
      assert.equal(data._request_id, request_id);
    });
  }

  test('the models', async () => {
    const ids = [];
    for await (const model of client().models.list()) {
      assert.equal(model.object, 'model');
      assert.ok(Number.isInteger(model.created));
      assert.equal(typeof model.owned_by, 'string');
      ids.push(model.id);
    }
    assert.deepEqual(ids, ['echo']);
    assert.equal((await client().models.retrieve('echo')).id, 'echo');
  });

  test('an unknown model is a NotFoundError', async () => {
    for (const attempt of [
      () => client().chat.completions.create({ ...ask('x'), model: 'nope' }),
      () => client().chat.completions.create({ ...ask('x', { stream: true }), model: 'nope' }),
      () => client().models.retrieve('nope'),
    ])
      await assert.rejects(attempt, (e) => {
        assert.ok(e instanceof OpenAI.NotFoundError, e);
        assert.equal(e.code, 'model_not_found');
        assert.equal(e.type, 'invalid_request_error');
        assert.ok(e.message.includes('nope'));
        assert.ok(e.requestID);
        return true;
      });
  });

  test('bad input is a BadRequestError', async () => {
    for (const bad of [{ messages: [] }, { messages: 'hi' }, { max_tokens: -1 }, { stream: 'yes' }])
      await assert.rejects(() => client().chat.completions.create({ ...ask('x'), ...bad }), (e) => {
        assert.ok(e instanceof OpenAI.BadRequestError, e);
        assert.equal(e.type, 'invalid_request_error');
        assert.ok(e.requestID);
        return true;
      });
  });

  test('a path that is not there is a NotFoundError', () =>
    assert.rejects(() => client().moderations.create({ input: 'x' }), OpenAI.NotFoundError));

  test('max_tokens', async () => {
    const whole = await client().chat.completions.create(ask('one two three four', { max_tokens: 2 }));
    assert.equal(whole.choices[0].finish_reason, 'length');
    assert.equal(whole.choices[0].message.content, 'one two');
  });

  test('an abort in the middle stops the turn', async () => {
    const url = `http://127.0.0.1:${slowServer.port}/v1`;
    const from = slowServer.lines.length;
    const stream = await client(url).chat.completions.create(ask('word '.repeat(200), { stream: true }));
    let parts = 0;
    await assert.doesNotReject(async () => { // the library ends the loop quietly
      for await (const part of stream) {
        if (part.choices[0]?.delta?.content && ++parts === 2) stream.controller.abort();
      }
    });
    assert.ok(parts >= 2 && parts < 10);
    const line = await slowServer.log({ msg: 'turn' }, { from, timeout: ms(2000) });
    assert.equal(line.end, 'interrupted');
    await slowServer.metricBecomes('runnel_turns_running', 0);
  });

  test('leaving the loop stops the turn', async () => {
    const url = `http://127.0.0.1:${slowServer.port}/v1`;
    const from = slowServer.lines.length;
    for await (const part of await client(url).chat.completions.create(ask('word '.repeat(200), { stream: true })))
      if (part.choices[0]?.delta?.content) break;
    await slowServer.log({ msg: 'turn' }, { from, timeout: ms(2000) });
    await slowServer.metricBecomes('runnel_turns_running', 0);
  });

  test('100 at once over kept connections', async () => {
    const c = client();
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => c.chat.completions.create(ask(`number ${i}`))));
    answers.forEach((a, i) => assert.equal(a.choices[0].message.content, `number ${i}`));
  });
});

describe('@langchain/openai', () => {
  const model = (more) => new ChatOpenAI({ model: 'echo', apiKey: 'none', maxRetries: 0, configuration: { baseURL: base }, ...more });

  for (const [name, text] of Object.entries(texts)) {
    test(`stream: ${name}`, async () => {
      let got = '';
      let usage;
      for await (const part of await model().stream(text)) {
        got += part.content;
        usage = part.usage_metadata ?? usage;
      }
      assert.equal(got, text);
      assert.ok(usage.output_tokens > 0);
    });

    test(`invoke: ${name}`, async () => {
      const answer = await model().invoke([['system', 'be brief'], ['human', text]]);
      assert.equal(answer.content, text);
      assert.equal(answer.response_metadata.finish_reason, 'stop');
      assert.ok(answer.usage_metadata.total_tokens > 0);
    });
  }

  test('an unknown model', () =>
    assert.rejects(() => model({ model: 'nope' }).invoke('x'), (e) => e.status === 404 || /not.found/i.test(e.message)));
});

describe('ai with @ai-sdk/openai-compatible', () => {
  const model = (id = 'echo') =>
    createOpenAICompatible({ name: 'runnel', baseURL: base, apiKey: 'none', includeUsage: true })(id);

  for (const [name, text] of Object.entries(texts)) {
    test(`streamText: ${name}`, async () => {
      const result = streamText({ model: model(), prompt: text, maxRetries: 0, onError: () => {} });
      let got = '';
      for await (const delta of result.textStream) got += delta;
      assert.equal(got, text);
      assert.equal(await result.finishReason, 'stop');
      assert.ok((await result.usage).outputTokens > 0);
    });

    test(`generateText: ${name}`, async () => {
      const result = await generateText({ model: model(), prompt: text, maxRetries: 0 });
      assert.equal(result.text, text);
      assert.equal(result.finishReason, 'stop');
      assert.ok(result.usage.inputTokens > 0 && result.usage.outputTokens > 0);
    });
  }

  test('a limit', async () => {
    const result = await generateText({ model: model(), prompt: 'one two three', maxOutputTokens: 2, maxRetries: 0 });
    assert.equal(result.text, 'one two');
    assert.equal(result.finishReason, 'length');
  });

  test('an unknown model', () =>
    assert.rejects(() => generateText({ model: model('nope'), prompt: 'x', maxRetries: 0 }), (e) => {
      assert.equal(e.statusCode, 404);
      assert.match(e.responseBody, /model_not_found/);
      return true;
    }));
});
