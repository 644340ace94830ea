#include "chat/gathering.h"

#include "base/json.h"
#include "base/mem.h"

/* How much an answer may hold is said where it is made. */
enum { NO_LIMIT_OF_OURS = 1 << 30 };

void gathering_begin(struct gathering *g)
{
    *g = (struct gathering){ .text = BUF(NO_LIMIT_OF_OURS), .reasoning = BUF(NO_LIMIT_OF_OURS) };
}

static void release_call(struct gathered_call *c)
{
    buf_release(&c->arguments);
    buf_release(&c->result);
}

void gathering_release(struct gathering *g)
{
    for (size_t i = 0; i < g->n_calls; i++)
        release_call(&g->calls[i]);
    mem_free(g->calls);
    mem_free(g->citations);
    buf_release(&g->reasoning);
    buf_release(&g->text);
    arena_release(&g->arena);
}

static struct gathered_call *find_call(struct gathering *g, const struct tool_piece *piece)
{
    for (size_t i = g->n_calls; i-- > 0;)
        if (g->calls[i].is_ours == piece->is_ours && g->calls[i].index == piece->index)
            return &g->calls[i];
    return NULL;
}

static struct gathered_call *new_call(struct gathering *g, const struct tool_piece *piece)
{
    struct gathered_call *call;

    g->calls = mem_resize(g->calls, (g->n_calls + 1) * sizeof *g->calls);
    call = &g->calls[g->n_calls++];
    *call = (struct gathered_call){ .arguments = BUF(NO_LIMIT_OF_OURS),
                                    .result = BUF(NO_LIMIT_OF_OURS),
                                    .index = piece->index,
                                    .is_ours = piece->is_ours,
                                    .round = g->round,
                                    .at = g->text.n };
    return call;
}

static void add_tool_piece(struct gathering *g, const struct event *ev)
{
    struct gathered_call *call = find_call(g, &ev->tool);

    if (!call)
        call = new_call(g, &ev->tool);
    if (ev->tool.id.n)
        call->id = arena_str(&g->arena, ev->tool.id);
    if (ev->tool.name.n)
        call->name = arena_str(&g->arena, ev->tool.name);
    buf_add(&call->arguments, ev->text);
}

static void add_result(struct gathering *g, const struct event *ev)
{
    struct gathered_call *call = find_call(g, &ev->tool);

    if (!call)
        return;
    call->has_result = true;
    call->failed = ev->tool.failed;
    buf_add(&call->result, ev->text);
}

static void add_citation(struct gathering *g, const struct citation *c)
{
    g->citations = mem_resize(g->citations, (g->n_citations + 1) * sizeof *g->citations);
    g->citations[g->n_citations++] = (struct citation){
        .id = arena_str(&g->arena, c->id),
        .title = arena_str(&g->arena, c->title),
        .url = arena_str(&g->arena, c->url),
        .text = arena_str(&g->arena, c->text),
    };
}

void gathering_add(struct gathering *g, const struct event *ev)
{
    switch (ev->type) {
    case EVENT_START:
        g->session = arena_str(&g->arena, ev->text);
        g->has_begun = true;
        g->stands_in = ev->stands_in;
        return;
    case EVENT_DELTA: buf_add(&g->text, ev->text); return;
    case EVENT_REASONING: buf_add(&g->reasoning, ev->text); return;
    case EVENT_TOOL_CALL: add_tool_piece(g, ev); return;
    case EVENT_TOOL_RESULT: add_result(g, ev); return;
    case EVENT_ROUND: g->round++; return;
    case EVENT_CITATION: add_citation(g, &ev->citation); return;
    case EVENT_USAGE: g->usage = ev->usage; return;
    case EVENT_FINISH:
    case EVENT_ERROR: return;
    }
}

static void write_what_we_did(const struct gathered_call *c, struct buf *out)
{
    buf_lit(out, ",\"round\":");
    buf_add_u64(out, c->round);
    buf_lit(out, ",\"at\":");
    buf_add_u64(out, c->at);
    if (c->has_result) {
        buf_lit(out, ",\"result\":");
        json_add_str(out, buf_str(&c->result));
    }
    if (c->failed)
        buf_lit(out, ",\"failed\":true");
}

static void write_call(const struct gathered_call *c, struct buf *out)
{
    buf_lit(out, "{\"id\":");
    json_add_str(out, c->id);
    buf_lit(out, ",\"type\":\"function\",\"function\":{\"name\":");
    json_add_str(out, c->name);
    buf_lit(out, ",\"arguments\":");
    json_add_str(out, buf_str(&c->arguments));
    buf_lit(out, "}");
    if (c->is_ours)
        write_what_we_did(c, out);
    buf_lit(out, "}");
}

void gathering_write_calls(const struct gathering *g, struct buf *out)
{
    for (size_t i = 0; i < g->n_calls; i++) {
        buf_add_char(out, i ? ',' : '[');
        write_call(&g->calls[i], out);
    }
    if (g->n_calls)
        buf_lit(out, "]");
}
