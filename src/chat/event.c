#include "chat/event.h"

const char *event_name(enum event_type type)
{
    static const char *const names[] = {
        [EVENT_START] = "start",
        [EVENT_DELTA] = "delta",
        [EVENT_REASONING] = "reasoning",
        [EVENT_TOOL_CALL] = "tool_call",
        [EVENT_TOOL_RESULT] = "tool_result",
        [EVENT_ROUND] = "round",
        [EVENT_CITATION] = "citation",
        [EVENT_USAGE] = "usage",
        [EVENT_FINISH] = "finish",
        [EVENT_ERROR] = "error",
    };

    return names[type];
}

bool grammar_allows(struct grammar *g, enum event_type next)
{
    bool allowed = false;

    switch (next) {
    case EVENT_START:
        allowed = !g->started;
        g->started = true;
        break;
    case EVENT_REASONING:
    case EVENT_TOOL_CALL:
    case EVENT_CITATION:
    case EVENT_DELTA: allowed = g->started && !g->counted; break;
    case EVENT_USAGE:
        allowed = g->started && !g->counted;
        g->counted = true;
        break;
    case EVENT_TOOL_RESULT:
    case EVENT_ROUND: break;                  /* no source says them            */
    case EVENT_FINISH: allowed = g->started; break;
    case EVENT_ERROR: allowed = true; break;
    }
    allowed = allowed && !g->ended;
    g->ended = g->ended || next == EVENT_FINISH || next == EVENT_ERROR;
    return allowed;
}

static const struct str finish_names[] = {
    [FINISH_STOP] = STR_INIT("stop"),
    [FINISH_LENGTH] = STR_INIT("length"),
    [FINISH_TOOL_CALLS] = STR_INIT("tool_calls"),
    [FINISH_CONTENT_FILTER] = STR_INIT("content_filter"),
};

struct str finish_name(enum finish finish)
{
    return finish_names[finish];
}

enum finish finish_read(struct str name)
{
    for (size_t i = 0; i < sizeof finish_names / sizeof *finish_names; i++)
        if (str_eq(finish_names[i], name))
            return (enum finish)i;
    return FINISH_STOP;
}
