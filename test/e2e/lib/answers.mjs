// What the tests of the mini-program's client share: the module, and an answer as a page sees it.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { ms } from './server.mjs';
import { program } from './wx.mjs';

export const { create, Utf8, EventReader } = program()('runnel.js');

export const HELLO = '\u4f60\u597d\uff0c\u4e16\u754c\uff01';
export const FAMILY = '\u{1f469}\u200d\u{1f469}\u200d\u{1f467}';
export const MIXED = `${HELLO} ok ${FAMILY} \u{1f3f3}\ufe0f\u200d\u{1f308} "quoted" \\ e\u0301 \u2028 \u0085 one\ntwo \ufeff\u00e9\ud7ff\ue000\u{10ffff}`;

export const clientOf = (base, wx, more = {}) =>
  create({ base, wx, pauses: [ms(2), ms(4), ms(8)], silence: ms(10000), ...more });

// An answer as a page sees it.
export class Seen {
  text = '';
  tokens = [];
  states = [];
  end = null;
  error = null;
  #wake = () => {};

  constructor(begin) {
    this.answer = begin({
      onToken: (token, text) => {
        this.tokens.push(token);
        this.text += token;
        assert.equal(text, this.text);
        this.#wake();
      },
      onDone: (end) => this.#ended('end', { ...end }),
      onError: (error) => this.#ended('error', error),
      onState: (state) => {
        this.states.push(state);
        this.#wake();
      },
    });
  }

  #ended(name, what) {
    assert.ok(!this.end && !this.error, 'one end');
    this[name] = what;
    this.#wake();
  }

  // Resolves with this when look() is true; by default, at the end.
  async until(look = () => this.end || this.error, timeout = ms(20000)) {
    const late = performance.now() + timeout;
    while (!look()) {
      assert.ok(performance.now() < late, `${look} after ${timeout} ms: ${this.states}; ${this.text}`);
      await Promise.race([new Promise((wake) => { this.#wake = wake; }), sleep(20)]);
    }
    return this;
  }

  // Goes on after an error; the next end counts.
  resume() {
    this.error = null;
    return this.answer.resume();
  }
}
export const begin = (client, chatId, content, more = {}) => new Seen((on) => client.stream(chatId, content, { ...on, ...more }));
export const asked = (client, chatId, content, more) => begin(client, chatId, content, more).until();
export const good = (seen, text) => {
  assert.equal(seen.error?.message, undefined);
  assert.equal(seen.text, text);
  assert.equal(seen.end.text, text);
  return seen;
};
export const fields = ({ status, code, message, retryAfter }) => ({ status, code, message, retryAfter });
