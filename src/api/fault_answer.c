#include "api/fault_answer.h"

#include "base/clock.h"
#include "base/mem.h"

/* The SDKs repeat what failed with 5xx by themselves; x-should-retry tells them whether
 * that makes sense, Retry-After when. */
static void write_advice(const struct event *error, struct buf *out)
{
    bool     retry = fault_may_retry(error->fault) && !error->advice.not_again;
    uint64_t seconds = (error->advice.after + CLOCK_S - 1) / CLOCK_S;

    if (!seconds && fault_http(error->fault) == 503)
        seconds = 1;
    buf_addf(out, "x-should-retry: %s\r\n", retry ? "true" : "false");
    if (seconds && (retry || error->fault == FAULT_USED_UP))     /* midnight is worth knowing */
        buf_addf(out, "retry-after: %llu\r\n", (unsigned long long)seconds);
}

void dialect_release(const struct dialect *d, void *state)
{
    if (d->release)
        d->release(state);
    else
        mem_free(state);
}

void fault_answer(struct http_exchange *x, const struct dialect *d, const struct event *error)
{
    struct buf body = BUF(8192), fields = BUF(256);
    int        status = d->fault_status ? d->fault_status(error->fault) : fault_http(error->fault);

    d->write_fault(error->fault, &body);
    write_advice(error, &fields);
    http_answer(x, &(struct http_answer){ status, STR("application/json"), buf_str(&fields),
                                          buf_str(&body) });
    buf_release(&fields);
    buf_release(&body);
}
