#include "api/room_fields.h"

#include "base/clock.h"

/* Until the minute turns: more room comes then, and before it little by little. */
static int seconds_left(void)
{
    return 60 - (int)(clock_wall_ms() / 1000 % 60);
}

static void write_room(struct buf *out, const char *what, struct budget_room room)
{
    int seconds = seconds_left();

    if (!room.limit)
        return;
    buf_addf(out, "x-ratelimit-limit-%s: %lld\r\n", what, (long long)room.limit);
    buf_addf(out, "x-ratelimit-remaining-%s: %lld\r\n", what, (long long)room.left);
    buf_addf(out, "x-ratelimit-reset-%s: %s%ds\r\n", what, seconds == 60 ? "1m" : "", seconds % 60);
}

void room_add_fields(struct http_exchange *x, const struct budget_call *room)
{
    struct buf fields = BUF(512);

    write_room(&fields, "requests", room->requests);
    write_room(&fields, "tokens", room->tokens);
    if (fields.n)
        http_add_fields(x, buf_str(&fields));
    buf_release(&fields);
}
