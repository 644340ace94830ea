/* probe.h - one small question to one provider, by the way that every turn goes, for an
 * operator who waits for it.
 *
 * It runs the loop until the answer is over, so it is for programs that do not serve.
 */
#ifndef PROVIDER_PROBE_H
#define PROVIDER_PROBE_H

#include "net/journey.h"
#include "provider/catalog.h"

struct probe {
    struct journey journey;
    uint64_t       begun, first, over;        /* clock_exact(); first: 0, no word came */
    enum fault     fault;
    struct str     words;                     /* the service's own, of a fault  */
    struct buf     said;                      /* the beginning of the answer    */
    struct usage   usage;
    int64_t        skew;                      /* seconds our clock is ahead of theirs */
};

/* The model it is asked for if nobody names one, and what a name of the settings' is called
 * there: empty if it has none. */
struct str probe_model(const struct catalog *c, const struct provider *p, struct str name);

/* NULL: there is no such provider. */
struct provider *probe_find(const struct catalog *c, struct str name);

void probe_run(struct probe *probe, struct provider *p, struct str model, uint64_t max_time);
void probe_release(struct probe *probe);
void probe_end(struct catalog *c);            /* and of all that was remembered for the next */

#endif
