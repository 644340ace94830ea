/* advice.h - what an HTTP answer says about asking again. */
#ifndef PROVIDER_ADVICE_H
#define PROVIDER_ADVICE_H

#include "chat/event.h"
#include "net/http_fields.h"

/* x-should-retry decides, else the status; retry-after-ms counts before Retry-After. */
struct advice advice_of(int status, const struct http_fields *fields);

/* Retry-After: seconds or a date; 0 for neither, for the past and for more than a day. */
uint64_t advice_read_retry_after(struct str value, int64_t wall_seconds);

#endif
