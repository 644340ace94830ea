#include "chat/fault.h"

static const struct {
    const char *name;
    int         http;
    bool        retry;
    enum end    end;
    const char *text;
} table[] = { [FAULT_NONE] = { "none", 200, false, END_COMPLETE, "" },
#define X(id, name, http, retry, end, text) [FAULT_##id] = { #name, http, retry, END_##end, text },
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
    return table[fault].retry;
}

enum end fault_end(enum fault fault)
{
    return table[fault].end;
}
