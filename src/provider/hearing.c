#include "provider/hearing.h"

#include "base/clock.h"

/* Behind the end marker only the end of the stream is missing. Mostly it comes at once, and then
 * the connection is there for the next question. */
enum { END_OF_STREAM_MS = 200 };

static uint64_t patience_of(const struct hearing *h)
{
    const struct provider_settings *s = h->provider->settings;

    if (h->teller.progress == ANSWER_DONE)
        return END_OF_STREAM_MS * CLOCK_MS;
    return h->teller.started ? s->idle_timeout : s->first_timeout;
}

static void have_patience(struct hearing *h)
{
    h->waits_for_end = h->teller.progress == ANSWER_DONE;
    deadline_arm(&h->patience, clock_now() + patience_of(h));
}

static void out_of_patience(struct deadline *d)
{
    struct hearing *h = LIST_OWNER(d, struct hearing, patience);

    if (h->teller.progress != ANSWER_OPEN) {
        h->kind->end(h->source, true);
        hearing_over(h);
    } else if (h->teller.started)
        hearing_fail(h, FAULT_WENT_QUIET, STR("nothing came any more"));
    else
        hearing_fail(h, FAULT_NO_FIRST_TOKEN, STR("nothing came"));
}

void hearing_begin(struct hearing *h, struct provider *p, const struct source_ops *kind,
                   struct str secret, struct outlet out)
{
    h->provider = p;
    h->kind = kind;
    h->out = out;
    h->teller = (struct teller){ .out = out, .secrets = { secret } };
    h->source = kind->open(&h->teller);
    h->patience.run = out_of_patience;
    deadline_arm(&h->patience, clock_now() + p->settings->first_timeout);
}

void hearing_release(struct hearing *h)
{
    deadline_disarm(&h->patience);
    h->kind->close(h->source);
}

void hearing_over(struct hearing *h)
{
    struct outlet out = h->out;

    h->drop(h);
    out.flush(out.ctx);
}

void hearing_fail(struct hearing *h, enum fault fault, struct str words)
{
    teller_fail(&h->teller, fault, words);
    hearing_over(h);
}

/* Keep-alive comments say that the service lives, so they push back the limit between two
 * events, but not the one for the first. */
void hearing_flush(struct hearing *h)
{
    if ((h->teller.started || h->teller.progress == ANSWER_DONE) && !h->waits_for_end)
        have_patience(h);
    if (h->teller.ended)
        hearing_over(h);                      /* whatever else comes is not read */
    else
        h->out.flush(h->out.ctx);
}

/* A reader that is full is no fault of the service's. */
void hearing_pause(struct hearing *h)
{
    deadline_disarm(&h->patience);
}

void hearing_resume(struct hearing *h)
{
    have_patience(h);
}
