#include "base/deadline.h"

#include "base/mem.h"

struct entry {
    uint64_t         at;                      /* <= what->due                   */
    struct deadline *what;
};

static struct entry *heap;                    /* heap[1] is the earliest        */
static size_t        count, capacity;

static void put(size_t place, struct entry e)
{
    heap[place] = e;
    e.what->place = place;
}

static size_t sift_up(size_t place, struct entry e)
{
    while (place > 1 && heap[place / 2].at > e.at) {
        put(place, heap[place / 2]);
        place /= 2;
    }
    return place;
}

static size_t sift_down(size_t place, struct entry e)
{
    for (size_t child; (child = place * 2) <= count; place = child) {
        if (child < count && heap[child + 1].at < heap[child].at)
            child++;
        if (heap[child].at >= e.at)
            break;
        put(place, heap[child]);
    }
    return place;
}

static void add(struct entry e)
{
    if (count + 1 >= capacity) {
        capacity = capacity ? capacity * 2 : 64;
        heap = mem_resize(heap, capacity * sizeof *heap);
    }
    count++;
    put(sift_up(count, e), e);
}

static void take(size_t place)
{
    struct entry last = heap[count--];

    heap[place].what->place = 0;
    if (place > count)
        return;
    put(sift_up(sift_down(place, last), last), last);
}

void deadline_arm(struct deadline *d, uint64_t at_ns)
{
    bool is_later = at_ns >= d->due;          /* then the heap need not be looked at */

    d->due = at_ns;
    if (d->place && (is_later || heap[d->place].at <= at_ns))
        return;
    if (d->place)
        take(d->place);
    add((struct entry){ at_ns, d });
}

void deadline_disarm(struct deadline *d)
{
    if (d->place)
        take(d->place);
}

bool deadline_is_armed(const struct deadline *d)
{
    return d->place != 0;
}

/* Bounded by what stood there when the pass began, so that deadlines that arm
 * each other cannot keep the loop from its sockets. */
void deadlines_run(uint64_t now_ns)
{
    for (size_t left = count; left && count && heap[1].at <= now_ns; left--) {
        struct deadline *d = heap[1].what;

        if (d->due > now_ns) {                /* it was pushed back meanwhile   */
            struct entry e = { d->due, d };

            put(sift_down(1, e), e);
            continue;
        }
        take(1);
        d->run(d);
    }
}

uint64_t deadlines_next(void)
{
    return count ? heap[1].at : UINT64_MAX;
}
