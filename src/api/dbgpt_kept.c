#include "api/dbgpt_kept.h"

#include "base/clock.h"
#include "base/json.h"

/* ---- pieces -------------------------------------------------------------------------------- */

/* "2026-03-20 10:00:00" */
void dbgpt_add_time(struct buf *out, int64_t micros)
{
    char text[CLOCK_ISO_SIZE];

    clock_iso(micros, text);
    text[10] = ' ';
    text[19] = '\0';
    json_add_str(out, str_of(text));
}

void dbgpt_add_or_null(struct buf *out, const char *name, struct str value)
{
    buf_addf(out, ",\"%s\":", name);
    if (value.n)
        json_add_str(out, value);
    else
        buf_lit(out, "null");
}

static bool is_or_any(struct str value, struct str wanted)
{
    return !wanted.n || str_eq(value, wanted);
}

bool dbgpt_is_wanted(const struct kept_chat *c, const struct dbgpt_wanted *w)
{
    const char        *why;
    struct json_doc   *doc = json_read(c->more, &why);
    const struct json *more = json_root(doc);
    bool               is = is_or_any(c->uid, w->uid) && is_or_any(c->mode, w->mode) &&
              is_or_any(json_str(json_get(more, "user_name")), w->user) &&
              is_or_any(json_str(json_get(more, "sys_code")), w->system);

    json_free(doc);
    return is;
}

/* ---- what was said ------------------------------------------------------------------------- */

void dbgpt_history_begin(struct dbgpt_history *h, struct arena *a, struct str model, size_t limit)
{
    *h = (struct dbgpt_history){ .arena = a, .model = model, .out = BUF(limit) };
    buf_lit(&h->out, "[");
}

static void add_said(struct dbgpt_history *h, const char *role, struct str text, int64_t at)
{
    buf_addf(&h->out, "%s{\"role\":\"%s\",\"context\":", h->n++ ? "," : "", role);
    json_add_str(&h->out, text);
    buf_addf(&h->out, ",\"order\":%lld,\"time_stamp\":", (long long)h->round);
    dbgpt_add_time(&h->out, at);
    dbgpt_add_or_null(&h->out, "model_name", h->model);
    buf_lit(&h->out, ",\"feedback\":{}}");
}

static void add_missing_view(struct dbgpt_history *h)
{
    if (h->lacks_view)
        add_said(h, "view", h->answer, h->answer_at);
    h->lacks_view = false;
}

/* An answer that failed before its first word is told by its view alone. */
static void add_answer(struct dbgpt_history *h, const struct kept_message *m)
{
    if (!m->content.n && m->state != KEPT_COMPLETE)
        return;
    add_said(h, "ai", m->content, m->created_at);
    h->lacks_view = true;
    h->answer = arena_str(h->arena, m->content);
    h->answer_at = m->created_at;
}

void dbgpt_history_add(struct dbgpt_history *h, const struct kept_message *m)
{
    if (m->state == KEPT_STREAMING)
        return;
    if (m->role == KEPT_VIEW) {
        add_said(h, "view", m->content, m->created_at);
        h->lacks_view = false;
        return;
    }
    add_missing_view(h);
    if (m->role == KEPT_USER) {
        h->round++;
        add_said(h, "human", m->content, m->created_at);
    } else if (m->role == KEPT_ASSISTANT) {
        add_answer(h, m);
    }
}

void dbgpt_history_end(struct dbgpt_history *h)
{
    add_missing_view(h);
    buf_lit(&h->out, "]");
}
