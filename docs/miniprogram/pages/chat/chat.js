/* A page that chats: the newest messages, older ones when it is pulled down, an answer while it is
 * made, a button that stops it, and one that tries again.
 *
 * It is opened with ?chatId=7, or with ?contextType=customer&contextId=42. */
'use strict';

const runnel = require('../../runnel').create();

const PAGE_SIZE = 20;
const REDRAW = 60;                        // ms; a setData() per token is more than phones can draw

function wordsFor(e) {
  const later = e.retryAfter ? ',请 ' + e.retryAfter + ' 秒后再试' : '';
  return (e.status === 0 ? '网络连接中断' : e.message) + later;
}

Page({
  data: {
    messages: [],
    hasOlder: false,
    draft: '',
    answering: false,                     // a question is on its way, or its answer is
    waiting: false,                       // the connection is lost for the moment
    partial: '',                          // what has come of the answer
    trouble: '',
    top: 0,
    into: '',
  },

  onLoad(query) {
    this.query = query || {};
    this.follows = true;
    this.open();
  },

  // In the background every request is lost after five seconds.
  onShow() {
    const e = this.error;
    if (!this.answer || (e && e.status !== 0)) return;
    if (this.answer.resume() && e) this.goesOn();
  },

  onUnload() {
    this.closed = true;
    clearTimeout(this.redraw);
    if (this.answer) this.answer.close();
  },

  // ---- messages

  open() {
    const q = this.query;
    const named = q.chatId ? Promise.resolve({ chatId: q.chatId })
      : runnel.messagesByContext(q.contextType || 'general', q.contextId, 1, 1);
    this.setData({ trouble: '' });
    named.then((chat) => {
      this.chatId = Number(chat.chatId);
      return runnel.latest(this.chatId, PAGE_SIZE);
    }).then((page) => {
      if (this.closed) return;
      this.opened = true;
      this.oldest = page.page;
      this.setData({ messages: page.items, hasOlder: page.page > 1 });
      this.toEnd();
      this.attach();
    }).catch((e) => this.setData({ trouble: wordsFor(e) }));
  },

  older() {
    if (this.loading || !this.data.hasOlder) return;
    this.loading = true;
    const first = this.data.messages[0];
    runnel.messages(this.chatId, this.oldest - 1, PAGE_SIZE).then((page) => {
      this.loading = false;
      this.oldest--;
      this.setData({
        messages: page.items.concat(this.data.messages),
        hasOlder: this.oldest > 1,
        into: first ? 'm' + first.id : '',
      });
    }, (e) => {
      this.loading = false;
      this.setData({ trouble: wordsFor(e) });
    });
  },

  append(message) {
    const others = this.data.messages.filter((m) => m.id !== message.id);
    this.setData({ messages: others.concat(message) });
    this.toEnd();
  },

  // ---- questions and answers

  onDraft(e) {
    this.setData({ draft: e.detail.value });
  },

  ask() {
    const content = this.data.draft.trim();
    if (!content || !this.opened || this.data.answering) return;
    this.follows = true;
    this.setData({ draft: '' });
    this.append({ id: 'asked' + Date.now(), role: 'user', content });
    this.askFor(content);
  },

  askFor(content) {
    this.setData({ partial: '' });
    this.goesOn();
    this.read((on) => runnel.stream(this.chatId, content, on));
  },

  // Somebody may have left while an answer was made.
  attach() {
    this.read((on) => runnel.attach(this.chatId, on));
  },

  read(begin) {
    if (this.answer) this.answer.close();
    this.error = null;
    this.answer = begin({
      onState: (state) => this.onState(state),
      onToken: (token, text) => this.onText(text),
      onDone: (end) => this.onDone(end),
      onError: (e) => this.onError(e),
    });
  },

  stop() {
    if (this.answer) this.answer.stop().catch((e) => this.setData({ trouble: wordsFor(e) }));
  },

  // The same question where that can be, else a new one with the same words.
  retry() {
    if (!this.opened) {
      this.open();
    } else if (this.answer && this.answer.resume()) {
      this.goesOn();
    } else {
      const asked = this.data.messages.filter((m) => m.role === 'user').pop();
      if (asked) this.askFor(asked.content);
    }
  },

  goesOn() {
    this.error = null;
    this.setData({ answering: true, trouble: '' });
  },

  // ---- what comes

  /* What stands behind the last question while its answer is made is a part of that answer,
   * which is about to come from its beginning. */
  onState(state) {
    const last = this.data.messages[this.data.messages.length - 1];
    if (state === 'streaming' && !this.data.answering) {
      if (last && last.role === 'assistant')
        this.setData({ messages: this.data.messages.slice(0, -1) });
      this.goesOn();
    }
    if (this.data.answering) this.setData({ waiting: state === 'waiting' });
    if (state === 'idle') {
      this.answer = null;
      this.setData({ answering: false });
    }
  },

  onText(text) {
    this.text = text;
    if (this.redraw) return;
    this.redraw = setTimeout(() => {
      this.redraw = null;
      this.setData({ partial: this.text });
      this.toEnd();
    }, REDRAW);
  },

  drawn() {
    clearTimeout(this.redraw);
    this.redraw = null;
  },

  onDone(end) {
    this.drawn();
    this.answer = null;
    this.setData({ answering: false, waiting: false, partial: '', trouble: '' });
    this.append({
      id: end.messageId, role: 'assistant', content: end.text, createdAt: end.createdAt,
      stopped: end.stopped,
    });
  },

  onError(e) {
    this.drawn();
    this.error = e;
    this.setData({
      answering: false, waiting: false, trouble: wordsFor(e), partial: this.answer.text,
    });
    this.toEnd();
  },

  // ---- scrolling: the page follows the answer until somebody scrolls up

  onTouch() {
    this.follows = false;
  },

  onEnd() {
    this.follows = true;
  },

  toEnd() {
    if (this.follows) this.setData({ top: this.data.top + 100000 });
  },
});
