#include "turn/tale.h"

#include "base/mem.h"
#include "chat/event_bytes.h"

#include <assert.h>

enum { SLICE = 16 << 10 };                    /* told at once to who is behind  */

struct tale *tale_new(const struct teller_ops *ops, void *teller, size_t limit)
{
    struct tale *t = mem_new(sizeof *t);

    tale_take_over(t, ops, teller);
    list_init(&t->sinks);
    t->keeps = limit > 0;
    t->words = BUF(limit);
    return t;
}

void tale_take_over(struct tale *t, const struct teller_ops *ops, void *teller)
{
    t->ops = ops;
    t->teller = teller;
}

void tale_begin(struct tale *t, const struct turn_facts *facts, int64_t first)
{
    t->has_begun = true;
    t->facts = facts;
    t->first = t->next = first;
    LIST_EACH(&t->sinks, l) {
        struct sink *k = LIST_OWNER(l, struct sink, link);

        k->ops->begin(k, facts, first);
    }
}

/* ---- telling ---------------------------------------------------------------------------- */

void tale_tell(struct tale *t, const struct event *ev)
{
    if (t->keeps)
        event_bytes_add(&t->words, ev);
    t->next++;
    LIST_EACH(&t->sinks, l) {
        struct sink *k = LIST_OWNER(l, struct sink, link);

        if (!k->behind)
            k->ops->event(k, ev);
    }
}

void tale_flush(struct tale *t)
{
    LIST_EACH(&t->sinks, l) {
        struct sink *k = LIST_OWNER(l, struct sink, link);

        if (!k->behind)
            k->ops->flush(k);
    }
}

static void let_go(struct tale *t, struct sink *k)
{
    list_take(&t->sinks, &k->link);
    k->tale = NULL;
    k->ops->close(k);
}

void tale_free(struct tale *t)
{
    assert(t->sinks.n == 0);
    buf_release(&t->words);
    mem_free(t);
}

static bool free_if_over(struct tale *t)
{
    if (t->ops || t->sinks.n > 0)
        return false;
    tale_free(t);
    return true;
}

void tale_end(struct tale *t, const struct event *last)
{
    struct link *next;

    tale_tell(t, last);
    tale_flush(t);
    t->ops = NULL;
    for (struct link *l = t->sinks.head.next; l != &t->sinks.head; l = next) {
        struct sink *k = LIST_OWNER(l, struct sink, link);

        next = l->next;
        if (!k->behind)
            let_go(t, k);
    }
    free_if_over(t);
}

/* ---- sinks that are behind ------------------------------------------------------------- */

/* Where the words from `at` on begin; the piece has a version before its first event. */
static struct event_bytes words_from(const struct tale *t, size_t at)
{
    return at ? (struct event_bytes){ .rest = str_from(buf_str(&t->words), at) }
              : event_bytes_of(buf_str(&t->words));
}

static size_t place_of(const struct tale *t, int64_t number)
{
    struct event_bytes b = words_from(t, 0);
    struct event       ev;

    for (int64_t n = t->first; n < number && event_bytes_next(&b, &ev); n++)
        ;
    return t->words.n - b.rest.n;
}

static void tell_slice(struct tale *t, struct sink *k)
{
    struct event_bytes b = words_from(t, k->at);
    struct event       ev;
    size_t             end = k->at + SLICE;

    while (k->at < end && event_bytes_next(&b, &ev)) {
        k->ops->event(k, &ev);
        k->at = t->words.n - b.rest.n;
    }
    k->ops->flush(k);
}

/* May free the tale. */
static void catch_up(struct tale *t, struct sink *k)
{
    while (!k->full && k->at < t->words.n)
        tell_slice(t, k);
    k->behind = k->full;
    if (k->behind || t->ops)
        return;
    let_go(t, k);
    free_if_over(t);
}

void tale_join(struct tale *t, struct sink *k, int64_t from)
{
    k->tale = t;
    list_push(&t->sinks, &k->link);
    if (t->sinks.n == 1 && t->ops && t->ops->visited)
        t->ops->visited(t);
    if (!t->has_begun)
        return;
    from = from < t->first ? t->first : from > t->next ? t->next : from;
    k->ops->begin(k, t->facts, from);
    if (from == t->next)
        return;
    k->at = place_of(t, from);
    k->behind = true;
    catch_up(t, k);
}

/* ---- what sinks say --------------------------------------------------------------------- */

static void pace(struct tale *t)
{
    if (t->ops && t->ops->pace)
        t->ops->pace(t);
}

void sink_hold(struct sink *k)
{
    struct tale *t = k->tale;

    if (k->full)
        return;
    k->full = true;
    if (t->keeps) {
        if (!k->behind)
            k->at = t->words.n;
        k->behind = true;
        return;
    }
    t->full++;
    pace(t);
}

static void is_in_the_way_no_more(struct tale *t)
{
    t->full--;
    pace(t);
}

void sink_go_on(struct sink *k)
{
    struct tale *t = k->tale;

    if (!k->full)
        return;
    k->full = false;
    if (t->keeps)
        catch_up(t, k);
    else
        is_in_the_way_no_more(t);
}

void sink_leave(struct sink *k)
{
    struct tale *t = k->tale;
    bool         was_full = k->full;

    k->full = false;
    if (was_full && !t->keeps)
        is_in_the_way_no_more(t);
    let_go(t, k);
    if (!free_if_over(t) && t->sinks.n == 0)
        t->ops->deserted(t);
}
