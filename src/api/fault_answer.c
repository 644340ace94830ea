#include "api/fault_answer.h"

/* The SDKs repeat what failed with 5xx by themselves; x-should-retry tells them whether
 * that makes sense, Retry-After when. */
static struct str advice(enum fault fault)
{
    if (!fault_may_retry(fault))
        return STR("x-should-retry: false\r\n");
    if (fault_http(fault) == 503)
        return STR("x-should-retry: true\r\nretry-after: 1\r\n");
    return STR("x-should-retry: true\r\n");
}

void fault_answer(struct http_exchange *x, const struct dialect *d, enum fault fault)
{
    struct buf body = BUF(8192);

    d->write_fault(fault, &body);
    http_answer(x, &(struct http_answer){ fault_http(fault), STR("application/json"), advice(fault),
                                          buf_str(&body) });
    buf_release(&body);
}
