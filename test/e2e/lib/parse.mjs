// Strict readers for what the service writes about itself: log lines and
// Prometheus text.

export function parseLogfmt(line) {
  const out = {};
  const field = /([a-z_][a-z0-9_.]*)=("(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"|[^\s"=\\\x00-\x20\x7f-\uffff]*)( |$)/y;
  while (field.lastIndex < line.length) {
    const at = field.lastIndex;
    const m = field.exec(line);
    if (!m) throw new Error(`not logfmt at ${at}: ${JSON.stringify(line.slice(at, at + 80))}`);
    if (m[1] in out) throw new Error(`key twice: ${m[1]} in ${JSON.stringify(line)}`);
    out[m[1]] = m[2].startsWith('"') ? JSON.parse(m[2]) : m[2];
  }
  return out;
}

export function parseLogLine(line) {
  const fields = line.startsWith('{') ? JSON.parse(line) : parseLogfmt(line);
  for (const must of ['ts', 'level', 'msg'])
    if (typeof fields[must] !== 'string') throw new Error(`no ${must} in ${JSON.stringify(line)}`);
  return fields;
}

const NUMBER = /^(NaN|[+-]?Inf|[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)$/;

// Gives { types, samples }; a sample is { name, labels, value }. Throws where
// the text breaks the exposition format or a histogram contradicts itself.
export function parsePrometheus(text) {
  const types = new Map();
  const helps = new Set();
  const samples = [];
  const seen = new Set();
  const done = new Set();
  let family = null;
  if (!text.endsWith('\n')) throw new Error('the last line has no line feed');
  if (/\r/.test(text)) throw new Error('CR in metrics');

  const enter = (name) => {
    if (name === family) return;
    if (done.has(name)) throw new Error(`metric family in two places: ${name}`);
    done.add(name);
    family = name;
  };

  for (const line of text.slice(0, -1).split('\n')) {
    const note = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/.exec(line);
    if (note) {
      enter(note[2]);
      if (note[1] === 'HELP') {
        if (helps.has(note[2])) throw new Error(`HELP twice: ${note[2]}`);
        helps.add(note[2]);
      } else {
        if (types.has(note[2])) throw new Error(`TYPE twice: ${note[2]}`);
        if (!/^(counter|gauge|histogram|summary|untyped)$/.test(note[3])) throw new Error(line);
        if (samples.some((s) => s.family === note[2])) throw new Error(`TYPE after samples: ${line}`);
        types.set(note[2], note[3]);
      }
      continue;
    }
    const m = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!m || !NUMBER.test(m[3])) throw new Error(`not a sample: ${JSON.stringify(line)}`);
    const labels = {};
    const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/y;
    while (m[2] && label.lastIndex < m[2].length) {
      const l = label.exec(m[2]);
      if (!l) throw new Error(`bad labels: ${line}`);
      labels[l[1]] = l[2].replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c));
    }
    const key = m[1] + JSON.stringify(Object.entries(labels).sort());
    if (seen.has(key)) throw new Error(`sample twice: ${line}`);
    seen.add(key);
    const base = m[1].replace(/_(bucket|sum|count)$/, '');
    const owner = types.get(base) === 'histogram' ? base : m[1];
    if (!types.has(owner)) throw new Error(`sample without TYPE: ${line}`);
    enter(owner);
    samples.push({ family: owner, name: m[1], labels, value: Number(m[3].replace('Inf', 'Infinity')) });
  }

  for (const [name, type] of types) {
    const own = samples.filter((s) => s.family === name);
    if (type === 'counter' && !name.endsWith('_total')) throw new Error(`counter without _total: ${name}`);
    if (type === 'counter' && own.some((s) => !(s.value >= 0))) throw new Error(`counter below 0: ${name}`);
    if (type === 'histogram') checkHistogram(name, own);
  }
  return { types, samples };
}

function checkHistogram(name, own) {
  const buckets = own.filter((s) => s.name === `${name}_bucket`);
  const count = own.find((s) => s.name === `${name}_count`);
  const sum = own.find((s) => s.name === `${name}_sum`);
  if (!buckets.length || !count || !sum) throw new Error(`histogram incomplete: ${name}`);
  let before = { le: -Infinity, value: 0 };
  for (const b of buckets) {
    const le = Number(b.labels.le.replace('Inf', 'Infinity'));
    if (!(le > before.le) || b.value < before.value) throw new Error(`buckets out of order: ${name}`);
    before = { le, value: b.value };
  }
  if (before.le !== Infinity || before.value !== count.value) throw new Error(`+Inf is not the count: ${name}`);
}
