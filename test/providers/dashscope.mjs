// Alibaba DashScope: applications, text generation, and (as the openai kind, dialect qwen) the compatible mode.
import { gzipSync } from 'node:zlib';
import { checker, fill, fragments, hex, json, last, lastUser, onlyKeys, sse, whole } from './lib/answer.mjs';
import openai from './openai.mjs';

const CODES = {
  400: ['InvalidParameter', 'Required parameter is missing or invalid.'],
  401: ['InvalidApiKey', 'Invalid API-key provided.'],
  403: ['AccessDenied', 'Access denied.'],
  404: ['ModelNotFound', 'Model not exist.'],
  429: ['Throttling.RateQuota', 'Requests rate limit exceeded, please try again later.'],
  500: ['InternalError', 'An internal error has occurred.'],
  504: ['RequestTimeOut', 'Request timed out.'],
};
const HEADERS = { 'x-dashscope-call-gateway': 'true', 'x-dashscope-timeout': '180', 'req-cost-time': '7', server: 'istio-envoy' };
const problem = (status, request_id, own = {}) => {
  const [code, message] = CODES[status] ?? CODES[500];
  const { status: _, ...more } = own;
  return { code, message, request_id, ...more };
};
// No space behind any colon; an error as captured ends after its data line.
const frame = (id, event, status, data, end = '\n\n') => `id:${id}\nevent:${event}\n:HTTP_STATUS/${status}\ndata:${JSON.stringify(data)}${end}`;
const finishOf = (a) => ({ tools: 'tool_calls', filter: 'content_filter' })[a.finish] ?? a.finish;

// The text an application sends with frame k, and everything it sends along.
function application(a, body, session_id) {
  const p = body.parameters ?? {};
  const flow = p.flow_stream_mode === 'message_format' && a.workflow;
  let text = '';
  const steps = [...a.tokens, ...(p.incremental_output ? [''] : [])];
  const models = (k) => a.usage.models ?? [{ input_tokens: a.usage.input, output_tokens: k, model_id: 'qwen-max-latest' }];
  return {
    steps,
    output(token, k, final) {
      text += token;
      if (a.rewriteAt === k) text = 'Rewritten: ' + text.slice(3);
      const finish_reason = final && a.finish !== null ? finishOf(a) : 'null';
      const now = p.incremental_output ? token : text;
      return {
        session_id, finish_reason,
        ...(flow ? { workflow_message: {
          node_id: 'End_1', node_name: 'End', node_type: 'End', node_status: final ? 'success' : 'executing', node_is_completed: final,
          node_msg_seq_id: k, message: { role: 'assistant', content: now }, ...(a.workflow === true ? {} : a.workflow),
        } } : { text: now }),
        ...(p.has_thoughts && a.thoughts && { thoughts: a.thoughts }),
        ...(a.docs && (k >= steps.length / 2 || final) && { doc_references: a.docs }),
      };
    },
    usage: (k) => (a.usage === null ? {} : { models: models(k) }),
  };
}

function generation(a, body, _, rec) {
  const p = body.parameters ?? {};
  const many = rec.path.includes('/multimodal-generation/');
  const inc = p.incremental_output === true;
  const steps = [...a.reasoning.map((r) => ({ r })), ...[...a.tokens].map((t) => ({ t })),
    ...a.tools.flatMap((tool, index) => (fragments(tool, a).length ? fragments(tool, a) : ['']).map((part, n) => ({ tool, index, part, n })))];
  if (!a.tools.length) steps.push({ t: '' });
  let text = '';
  let thought = '';
  const calls = [];
  return {
    steps,
    output({ r = '', t = '', tool, index, part, n }, k, final) {
      text += t;
      thought += r;
      const finish_reason = final && a.finish !== null ? finishOf(a) : 'null';
      const now = inc ? t : text;
      if (p.result_format !== 'message' && !many) return { text: now, finish_reason };
      let tool_calls;
      if (tool) {
        calls[index] = { index, id: tool.id, type: 'function', function: { name: tool.name, arguments: (calls[index]?.function.arguments ?? '') + part } };
        const delta = { index, id: n ? '' : tool.id, type: 'function', function: { ...(n ? {} : { name: tool.name }), arguments: part } };
        tool_calls = inc ? [delta] : calls;
      }
      return { choices: [{
        message: {
          role: 'assistant', content: many ? (now ? [{ text: now }] : []) : now,
          ...(a.reasoning.length && { reasoning_content: inc ? r : thought }), ...(tool_calls && { tool_calls: structuredClone(tool_calls) }),
        },
        finish_reason, ...(a.index !== false && { index: 0 }),
      }] };
    },
    usage: (k) => (a.usage === null ? {} : {
      input_tokens: a.usage.input, output_tokens: k, total_tokens: a.usage.input + k,
      output_tokens_details: { reasoning_tokens: Math.min(k, a.reasoning.length) }, prompt_tokens_details: { cached_tokens: a.usage.cached },
    }),
  };
}

function* stream(a, made, request_id) {
  const end = a.blank === false ? '\n' : '\n\n';
  let k = 0;
  for (const [step, final] of last(made.steps)) {
    if (k >= a.errorAfter) break;
    const data = { output: made.output(step, ++k, final), usage: made.usage(k), request_id };
    if (a.end === false && final) break;
    if (a.unknown) yield `status:200\nheartbeat\n: still there\n\n`;
    yield frame(k, 'result', 200, data, end);
  }
  if (a.errorAfter !== Infinity) {
    const status = a.error?.status ?? 400;
    yield frame(k + 1, 'error', status, problem(status, request_id, a.error), '\n');
  } else if (a.done) yield `id:${k + 1}\nevent:done\ndata:[DONE]\n\n`;
}

function inspect({ body, problems, headers }, app) {
  const want = checker(problems);
  want(/^application\/json\b/.test(headers['content-type']), 'content-type is not JSON');
  const sseAsked = headers['x-dashscope-sse'] === 'enable';
  want(sseAsked === (headers.accept === 'text/event-stream'), 'a stream is asked for with only one of the two headers');
  onlyKeys(want, body, app ? ['input', 'parameters', 'debug'] : ['model', 'input', 'parameters'], 'body');
  if (!app) return;
  onlyKeys(want, body.input, ['prompt', 'messages', 'session_id', 'memory_id', 'image_list', 'file_list', 'doc_reference_type', 'doc_tag_codes', 'biz_params'], 'input');
  onlyKeys(want, body.parameters, ['incremental_output', 'has_thoughts', 'enable_thinking', 'flow_stream_mode', 'temperature', 'top_p', 'top_k', 'seed',
    'enable_web_search', 'enable_system_time', 'dialog_round', 'model_id', 'rag_options'], 'parameters');
  want(!(body.input.session_id && body.input.messages), 'session_id and messages together');
}

const APP = /^\/api\/v1\/apps\/([^/]+)\/completion$/;
const TEXT = /^\/api\/v1\/services\/aigc\/(text|multimodal)-generation\/generation$/;
const compatible = (path) => /^\/compatible-mode\/v1\//.test(path ?? '');

export default {
  look(rec) {
    if (compatible(rec.path)) return openai.look(rec);
    const { body, headers, path } = rec;
    return {
      model: APP.exec(path ?? '')?.[1] ?? body?.model, said: body?.input?.prompt ?? lastUser(body?.input?.messages),
      stream: headers['x-dashscope-sse'] === 'enable' || /text\/event-stream/.test(headers.accept ?? ''),
    };
  },
  handle(rec, script, o) {
    if (compatible(rec.path)) return openai.handle(rec, { dialect: 'qwen', ...script }, o);
    const { headers, path, stream: streamed } = rec;
    const body = rec.body ?? {};
    const id = `${hex(4)}-${hex(2)}-${hex(2)}-${hex(2)}-${hex(6)}`;
    const common = { ...HEADERS, 'x-request-id': id };
    const fail = (status, own) => json(script.error200 ? 200 : status, problem(status, id, own), { ...common, 'x-dashscope-finished': 'true' });
    const failing = (status, own, http = 200) => ({ // an error as an event, with 200 or (answer.framed) with its own status
      ...sse([frame(1, 'error', status, problem(status, id, own), '\n')], { ...common, 'content-type': 'text/event-stream;charset=UTF-8' }), status: http,
    });
    if (script.status >= 400 || script.error200) {
      return script.framed ? failing(script.status, script.error, script.status) : fail(script.status ?? 500, script.error);
    }
    const key = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1];
    if (!key || (o.key && key !== o.key)) return fail(401);
    const app = APP.exec(path)?.[1];
    if (rec.method !== 'POST' || !(app || TEXT.test(path))) return fail(404);
    if ((app && o.apps && !o.apps.includes(app)) || (!app && o.models && !o.models.includes(rec.model))) return fail(404);
    const wrong = (message) => (streamed ? failing(400, { message }) : fail(400, { message }));
    if (!body.input || (!body.input.prompt && !body.input.messages?.length)) return wrong('Required parameter(prompt) missing or invalid.');
    if (!app && !body.model) return wrong('Required parameter(model) missing or invalid.');
    inspect(rec, app);
    const a = fill(script, { text: rec.said, messages: body.input.messages ?? [{ content: body.input.prompt }], max: body.parameters?.max_tokens });
    const session = body.input.session_id ?? script.session ?? hex(16);
    let res;
    if (streamed && !script.json) {
      const made = (app ? application : generation)(a, body, session, rec);
      res = sse(stream(a, made, id), { ...common, 'content-type': 'text/event-stream;charset=UTF-8', 'x-dashscope-finished': 'false' });
    } else {
      const plain = { ...body, parameters: { ...body.parameters, incremental_output: false } };
      const whole1 = { ...a, tokens: [whole(a.tokens)], reasoning: a.reasoning.length ? [whole(a.reasoning)] : [], cuts: 1e9, rewriteAt: null };
      if (a.tools.length) Object.assign(whole1, { tokens: a.tokens.length ? whole1.tokens : [], finish: a.finish === 'tools' ? 'stop' : a.finish });
      const made = (app ? application : generation)(whole1, plain, session, rec);
      let output;
      for (const [step, final] of last(made.steps)) output = made.output(step, 1, final);
      res = json(200, { output, usage: made.usage(a.usage?.output ?? 0), request_id: id }, { ...common, 'x-dashscope-finished': 'true' });
    }
    if (/gzip/.test(headers['accept-encoding'] ?? '')) { // DashScope compresses when offered
      rec.problems.push('gzip was offered');
      res = { ...res, headers: { ...res.headers, 'content-encoding': 'gzip' }, pieces: [gzipSync([...res.pieces].join(''))] };
    }
    return res;
  },
};
