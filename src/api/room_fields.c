#include "api/room_fields.h"

static void write_room(struct buf *out, const char *what, struct budget_room room)
{
    if (room.limit)
        buf_addf(out, "x-ratelimit-limit-%s: %lld\r\nx-ratelimit-remaining-%s: %lld\r\n", what,
                 (long long)room.limit, what, (long long)room.left);
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
