/* histogram.h - how often which value came, in logarithmic steps.
 *
 * 64 steps to every doubling, so a value is known to 1.6 percent; no sample is
 * kept. A percentile is the upper edge of its step (never flattering) but not
 * more than the largest value seen. Values past 2^43 count as 2^43 - 1.
 */
#ifndef COMMON_HISTOGRAM_H
#define COMMON_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_STEPS = 2432 };

struct histogram {
    uint64_t count, max;
    uint64_t step[HISTOGRAM_STEPS];
};

static inline void histogram_add(struct histogram *h, uint64_t value, uint64_t times)
{
    const uint64_t most = (UINT64_C(1) << 43) - 1;
    uint64_t       v = value < most ? value : most;
    unsigned       shift = v < 64 ? 0 : (unsigned)(63 - __builtin_clzll(v)) - 6;

    h->step[((uint64_t)shift << 6) + (v >> shift)] += times;
    h->count += times;
    if (times > 0 && v > h->max)
        h->max = v;
}

static inline uint64_t histogram_upper_edge(size_t i)
{
    size_t shift = i < 128 ? 0 : (i >> 6) - 1;
    return (((uint64_t)(i - (shift << 6)) + 1) << shift) - 1;
}

/* The value that `share` (0..1) of all values do not exceed; 0 when empty. */
static inline uint64_t histogram_percentile(const struct histogram *h, double share)
{
    double   wanted = share * (double)h->count;
    uint64_t seen = 0;

    for (size_t i = 0; i < HISTOGRAM_STEPS && h->count > 0; i++) {
        seen += h->step[i];
        if (seen > 0 && (double)seen >= wanted) {
            uint64_t edge = histogram_upper_edge(i);
            return edge < h->max ? edge : h->max;
        }
    }
    return 0;
}

#endif
