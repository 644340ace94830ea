/* fuzz_event_bytes.c - any bytes as a piece of the journal.
 *
 * There is one way to write an event, so whatever was read is written as the bytes it was
 * read from. */
#include "base/mem.h"
#include "chat/event_bytes.h"

#include "script.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str         piece = { (const char *)data, size };
    size_t             before = mem_live_bytes(), events = 0;
    struct event_bytes b = event_bytes_of(piece);
    struct buf         again = BUF(1 << 24);
    struct event       ev;

    for (; event_bytes_next(&b, &ev); events++) {
        MUST(*event_name(ev.type));
        MUST(ev.type != EVENT_ERROR || ev.fault != FAULT_NONE);
        event_bytes_add(&again, &ev);
    }
    MUST(again.n <= size && (again.n == 0 || memcmp(again.p, data, again.n) == 0));
    MUST(b.is_bad || events == 0 || again.n == size);
    MUST_SAY(events < size || events == 0, "%zu events in %zu bytes", events, size);
    buf_release(&again);
    MUST_SAY(mem_live_bytes() == before, "memory is kept");
    return 0;
}
