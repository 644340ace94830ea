#include "provider/advice.h"

#include "base/clock.h"
#include "wire/http_text.h"

enum { DAY_S = 24 * 60 * 60 };

uint64_t advice_read_retry_after(struct str value, int64_t wall_seconds)
{
    uint64_t seconds = 0;
    int64_t  date;

    if (!str_to_u64(value, &seconds) && http_read_date(value, &date) && date > wall_seconds)
        seconds = (uint64_t)(date - wall_seconds);
    return seconds <= DAY_S ? seconds * CLOCK_S : 0;
}

static bool is_worth_repeating(int status, struct str should_retry)
{
    if (str_eq_nocase(should_retry, STR("true")))
        return true;
    if (str_eq_nocase(should_retry, STR("false")))
        return false;
    return status == 408 || status == 409 || status == 429 || status >= 500 || status == 200;
}

struct advice advice_of(int status, const struct http_fields *fields)
{
    struct advice a = { .not_again = !is_worth_repeating(
                            status, http_fields_nth(fields, STR("x-should-retry"), 0)) };
    uint64_t      ms;

    if (str_to_u64(http_fields_nth(fields, STR("retry-after-ms"), 0), &ms) &&
        ms <= (uint64_t)DAY_S * 1000)
        a.after = ms * CLOCK_MS;
    else
        a.after = advice_read_retry_after(http_fields_nth(fields, STR("retry-after"), 0),
                                          clock_wall_ms() / 1000);
    return a;
}
