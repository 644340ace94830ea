/* pg_place.h - where a connection string leads: its hosts one by one, and the rest of it.
 *
 * libpq would look names up without returning to the loop, and would wait for a dead host
 * as long as the kernel does. So it is given one numeric address at a time.
 */
#ifndef PG_PG_PLACE_H
#define PG_PG_PLACE_H

#include "base/str.h"

enum { PG_PLACES_MAX = 8, PG_OPTIONS_MAX = 64, PG_WHY_MAX = 512 };

struct pg_place {
    char    *host;                            /* a name, an address, or a socket's folder */
    char    *address;                         /* given in digits beside the name; or NULL */
    uint16_t port;
};

struct pg_where {
    struct pg_place places[PG_PLACES_MAX];
    size_t          n;
    char           *names[PG_OPTIONS_MAX], *values[PG_OPTIONS_MAX];
    size_t          n_options;
};

/* False: `why` tells what is wrong with it, without its password. Release it in any case. */
bool pg_where_read(struct pg_where *w, struct str conninfo, char why[PG_WHY_MAX]);
void pg_where_default(struct pg_where *w, const char *name, const char *value);
void pg_where_release(struct pg_where *w);

bool pg_place_is_socket(const struct pg_place *p);

#endif
