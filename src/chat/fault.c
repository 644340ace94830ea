#include "chat/fault.h"

static const struct {
    const char *name;
    int         http;
    bool        elsewhere, again, breaks;
    enum end    end;
    const char *text;
} table[] = { [FAULT_NONE] = { "none", 200, false, false, false, END_COMPLETE, "" },
#define X(id, name, http, elsewhere, again, breaks, end, text) \
    [FAULT_##id] = { #name, http, elsewhere, again, breaks, END_##end, text },
              FAULTS(X)
#undef X
};

const char *end_name(enum end end)
{
    static const char *const names[] = {
        [END_COMPLETE] = "complete",
        [END_STOPPED] = "stopped",
        [END_INTERRUPTED] = "interrupted",
        [END_ERROR] = "error",
    };

    return names[end];
}

const char *fault_name(enum fault fault)
{
    return table[fault].name;
}

enum fault fault_read(struct str name)
{
    for (size_t f = FAULT_NONE + 1; f < sizeof table / sizeof *table; f++)
        if (str_eq(name, str_of(table[f].name)))
            return (enum fault)f;
    return FAULT_NONE;
}

const char *fault_text(enum fault fault)
{
    return table[fault].text;
}

int fault_http(enum fault fault)
{
    return table[fault].http;
}

bool fault_may_retry(enum fault fault)
{
    return table[fault].elsewhere;
}

bool fault_again(enum fault fault)
{
    return table[fault].again;
}

bool fault_breaks(enum fault fault)
{
    return table[fault].breaks;
}

enum end fault_end(enum fault fault)
{
    return table[fault].end;
}
