/* settings_dialects.c - the rows for the doors that clients come in by. */
#include "base/settings_rows.h"

static const char *const no_yes[] = { "false", "true", NULL };
static const char *const leavings[] = { "cancel", "drain", "detach", NULL };

#define ON_LEAVE(type, dflt)                                                                \
    CHOICE("on_leave", type, on_leave, dflt, leavings,                                      \
           "When the last reader of an answer leaves: cancel stops the provider, drain lets it " \
           "finish within turns.drain_time and turns.drain_tokens, detach in full.")

static const struct conf_field  openai_rows[] = { ON_LEAVE(openai_settings, "cancel"), END };
static const struct conf_record openai_record = { .fields = openai_rows };

static const struct conf_field xcx_rows[] = {
    TEXT("model", xcx_settings, model, "", NULL, NULL,
         "The model that answers the mini-program; empty: the first one."),
    CHOICE("wrap_responses", xcx_settings, wrap_responses, "true", no_yes,
           "Whether good answers come as {\"code\": 0, \"data\": ...}."),
    CHOICE("ascii", xcx_settings, ascii, "false", no_yes,
           "Whether everything but ASCII is escaped, so that no client can cut a character."),
    ON_LEAVE(xcx_settings, "detach"),
    TIME("reuse_customer", xcx_settings, reuse_customer, "72h", 0, 31536000,
         "A conversation about a customer is gone on with until it was silent for this long."),
    TIME("reuse_coach", xcx_settings, reuse_coach, "72h", 0, 31536000, "The same, about a coach."),
    TIME("reuse_general", xcx_settings, reuse_general, "72h", 0, 31536000,
         "How long a conversation about nothing in particular is handed out again in which "
         "nothing was said."),
    END
};
static const struct conf_record xcx_record = { .fields = xcx_rows };

static const struct conf_field dialect_rows[] = { SECTION("openai", settings, openai,
                                                          openai_record),
                                                  SECTION("xcx", settings, xcx, xcx_record), END };
const struct conf_record       settings_dialects_record = { .fields = dialect_rows };
