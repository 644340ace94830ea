/* crowd.h - how many answers are being made for one owner at one door, and how many of his
 * questions wait: limits, and pieces of SQL for the store's own files.
 *
 * A chat is touched when a question is put there, so only those that were touched of late have to
 * be looked at, by an index that there is anyway.
 */
#ifndef STORE_CROWD_H
#define STORE_CROWD_H

#include "base/clock.h"
#include "pg/pg_work.h"

struct crowd_limits {
    uint64_t running, in_flight;              /* 0: any number; in flight is also what waits */
    uint64_t recent;                          /* ns: what began before that is over */
};

/* Whoever counts, and then adds one, has to be alone with it. */
#define CROWD_LOCK                                                                                 \
    "SELECT pg_advisory_xact_lock(hashtextextended(jsonb_build_array('crowd', $1::int, "           \
    "$2::text, $3::text)::text, 0)) WHERE $4::boolean"

/* A question was let through there, and its turn is not there yet. It must begin behind that; one
 * that was refused before leaves it to time. */
#define CROWD_IS_LET_THROUGH(chat)                                                                 \
    "(" chat ".asked_at > clock_timestamp() - interval '2 seconds' AND NOT EXISTS (SELECT FROM "   \
    "runnel.turn t WHERE t.tenant = " chat ".tenant AND t.chat = " chat ".id AND "                 \
    "t.created_at >= " chat ".asked_at))"

/* A row for each chat: running, waiting, taken (waits no more, and does not run yet) and
 * let_through. A young table has no statistics; the order is that of the index which has the
 * time, and lets no other walk through all chats of the owner. */
#define CROWD(tenant_is, dialect_is, owner_is, recent_s)                                           \
    "(SELECT r.n AS running, w.n AS waiting, w.taken, "                                            \
    "coalesce(" CROWD_IS_LET_THROUGH("x") ", false)::int AS let_through FROM "                     \
    "(SELECT y.tenant, y.id, y.asked_at FROM runnel.chat y WHERE y.tenant = " tenant_is " AND "    \
    "y.dialect = " dialect_is " AND y.owner = " owner_is " AND y.updated_at > now() - " recent_s   \
    " * interval '1 second' ORDER BY y.updated_at DESC, y.id DESC OFFSET 0) x "                    \
    "CROSS JOIN LATERAL (SELECT count(*) AS n FROM runnel.turn t WHERE t.tenant = x.tenant AND "   \
    "t.chat = x.id AND t.ended_at IS NULL AND t.created_at > now() - " recent_s " * "              \
    "interval '1 second') r CROSS JOIN LATERAL (SELECT count(*) AS n, count(*) FILTER (WHERE "     \
    "p.taken_until > now()) AS taken FROM runnel.pending p WHERE p.tenant = x.tenant AND "         \
    "p.chat = x.id) w)"

static inline void put_recent(struct pg_work *w, const struct crowd_limits *most)
{
    pg_int(w, (int64_t)(most->recent / CLOCK_S) + 1);
}

#endif
