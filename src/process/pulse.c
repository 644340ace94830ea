#include "process/pulse.h"

#include "base/clock.h"
#include "base/common.h"
#include "base/deadline.h"
#include "process/crew.h"

#include <stdatomic.h>

enum { SILENT_LOOKS = 2 };

struct beats {
    atomic_uint of[CREW_MAX];
};

static struct {
    struct beats   *beats;
    uint64_t        every;                    /* ns; 0: nobody watches          */
    unsigned        heard[CREW_MAX], silent[CREW_MAX];      /* what the leader has seen */
    size_t          worker;                   /* who this one is                */
    struct deadline next;
} pulse;

/* Not below a second: whom the kernel leaves out for a moment does not stand still. */
void pulse_prepare(uint64_t watchdog_ns)
{
    if (!watchdog_ns)
        return;
    pulse.every = watchdog_ns / 2 > CLOCK_S ? watchdog_ns / 2 : CLOCK_S;
    pulse.beats = common_new(sizeof *pulse.beats);
}

uint64_t pulse_every(void)
{
    return pulse.every;
}

bool pulse_stands_still(size_t worker)
{
    unsigned beats = atomic_load(&pulse.beats->of[worker]);

    if (beats == pulse.heard[worker])
        return ++pulse.silent[worker] >= SILENT_LOOKS;
    pulse.heard[worker] = beats;
    pulse.silent[worker] = 0;
    return false;
}

static void beat(struct deadline *d)
{
    atomic_fetch_add(&pulse.beats->of[pulse.worker], 1);
    deadline_arm(d, clock_now() + pulse.every / 2);
}

void pulse_begin(size_t worker)
{
    pulse.worker = worker;
    pulse.next.run = beat;
    if (pulse.every)
        beat(&pulse.next);
}
