#include "provider/probe.h"

#include "base/clock.h"
#include "base/deadline.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "net/http_client.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/tls.h"
#include "net/ws_client.h"

enum { SAID_MAX_BYTES = 200 };

static const char question_text[] = "Answer with the one word: OK";

/* ---- whom, and for what ---------------------------------------------------------------- */

struct provider *probe_find(const struct catalog *c, struct str name)
{
    for (size_t i = 0; i < c->n_providers; i++)
        if (str_eq(c->providers[i].settings->name, name))
            return &c->providers[i];
    return NULL;
}

static struct str model_there(const struct model *m, const struct provider *p)
{
    for (size_t i = 0; i < m->n_targets; i++)
        if (m->targets[i].provider == p)
            return m->targets[i].model;
    return STR("");
}

struct str probe_model(const struct catalog *c, const struct provider *p, struct str name)
{
    const struct model *named = name.n ? catalog_find(c, name) : NULL;
    struct str          there = named ? model_there(named, p) : STR("");

    if (name.n)
        return there.n ? there : name;
    for (size_t i = 0; i < c->n_models && !there.n; i++)
        there = model_there(&c->models[i], p);
    return there;
}

/* ---- the answer ------------------------------------------------------------------------ */

/* One at a time: the loop is one, too. */
static struct {
    struct probe   *probe;
    struct deadline patience;
    bool            is_over;
} running;

static void note_word(struct probe *p, const struct event *ev)
{
    if (!p->first)
        p->first = clock_exact();
    if (ev->type == EVENT_DELTA)
        buf_add(&p->said, utf8_clip(ev->text, p->said.limit - p->said.n));
}

static void on_event(void *ctx, const struct event *ev)
{
    struct probe *p = ctx;

    switch (ev->type) {
    case EVENT_DELTA:
    case EVENT_REASONING:
    case EVENT_TOOL_CALL:
    case EVENT_CITATION: note_word(p, ev); return;
    case EVENT_USAGE: p->usage = ev->usage; return;
    case EVENT_START:
    case EVENT_TOOL_RESULT:
    case EVENT_ROUND: return;
    case EVENT_ERROR:
        p->fault = ev->fault;
        p->words = (struct str){ mem_copy(ev->text.p, ev->text.n), ev->text.n };
        break;
    case EVENT_FINISH: break;
    }
    running.is_over = true;
    loop_stop();
}

static void on_flush(void *ctx)
{
    (void)ctx;
}

static void waited_enough(struct deadline *d)
{
    (void)d;
    running.probe->fault = FAULT_TIMEOUT;
    loop_stop();
}

/* ---- the whole ------------------------------------------------------------------------- */

static struct question *small_question(struct str model)
{
    struct question *q = question_new();

    q->model = model;
    q->n_messages = 1;
    q->messages = arena_new(&q->arena, sizeof *q->messages);
    q->messages[0] = (struct message){ .role = ROLE_USER, .text = str_of(question_text) };
    return q;
}

static void close_everything(void)
{
    http_clients_close();
    ws_clients_close();
    loop_close();
    resolve_forget_all();
    streams_release();
}

void probe_run(struct probe *probe, struct provider *p, struct str model, uint64_t max_time)
{
    struct question *q = small_question(model);
    struct call     *call;

    *probe = (struct probe){ .said = BUF(SAID_MAX_BYTES) };
    running.probe = probe;
    running.is_over = false;
    running.patience.run = waited_enough;
    loop_open();
    p->way.journey = &probe->journey;
    deadline_arm(&running.patience, clock_now() + max_time);
    probe->begun = clock_exact();
    call = p->ops->start(p, q, model, (struct outlet){ on_event, on_flush, probe });
    loop_run();
    probe->over = clock_exact();
    deadline_disarm(&running.patience);
    if (!running.is_over)
        p->ops->cancel(call);
    if (probe->journey.has_date)
        probe->skew = clock_wall_ms() / 1000 - probe->journey.date -
                      (int64_t)((probe->over - probe->journey.at[JOURNEY_ANSWERED]) / CLOCK_S);
    close_everything();
    p->way.journey = NULL;
    question_free(q);
}

void probe_release(struct probe *probe)
{
    mem_free((char *)probe->words.p);
    buf_release(&probe->said);
}

void probe_end(struct catalog *c)
{
    catalog_drop(c);
    tls_release();
}
