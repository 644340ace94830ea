#include "net/journey.h"

#include "base/clock.h"
#include "wire/http_text.h"

void journey_mark(struct journey *j, enum journey_step step)
{
    if (j)
        j->at[step] = clock_exact();
}

void journey_mark_head(struct journey *j, int status, const struct http_fields *fields)
{
    if (!j)
        return;
    journey_mark(j, JOURNEY_ANSWERED);
    j->status = status;
    j->has_date = http_read_date(http_fields_nth(fields, STR("date"), 0), &j->date);
}
