/* settings_rows.h - how a row of the settings table is written; for settings*.c only. */
#ifndef BASE_SETTINGS_ROWS_H
#define BASE_SETTINGS_ROWS_H

#include "base/clock.h"
#include "base/settings.h"

#define AT(type, member) .offset = offsetof(struct type, member)
#define END { .name = NULL }

#define COUNT(n, type, member, dflt, low, high, text) \
    { .name = n, .kind = CONF_COUNT, AT(type, member), .fallback = dflt, .min = low, .max = high, .help = text }
#define BYTES(n, type, member, dflt, low, high, text) \
    { .name = n, .kind = CONF_BYTES, AT(type, member), .fallback = dflt, .min = low, .max = high, .help = text }
#define TIME(n, type, member, dflt, low, high, text)                                       \
    { .name = n, .kind = CONF_TIME, AT(type, member), .fallback = dflt, .min = (low) * CLOCK_MS, \
      .max = (high) * CLOCK_S, .help = text }
#define TEXT(n, type, member, dflt, good, wants, text)                                      \
    { .name = n, .kind = CONF_TEXT, AT(type, member), .fallback = dflt, .is_good = good,    \
      .expects = wants, .help = text }
#define TEXTS(n, type, member, good, wants, text)                                           \
    { .name = n, .kind = CONF_TEXTS, AT(type, member), .fallback = "", .is_good = good,     \
      .expects = wants, .help = text }
#define SECRET(n, type, member, dflt, good, wants, text)                                    \
    { .name = n, .kind = CONF_TEXT, AT(type, member), .fallback = dflt, .is_good = good,    \
      .expects = wants, .is_secret = true, .help = text }
#define SECRETS(n, type, member, good, wants, text)                                         \
    { .name = n, .kind = CONF_TEXTS, AT(type, member), .fallback = "", .is_good = good,     \
      .expects = wants, .is_secret = true, .help = text }
#define CHOICE(n, type, member, dflt, list, text) \
    { .name = n, .kind = CONF_CHOICE, AT(type, member), .fallback = dflt, .choices = list, .help = text }
#define SECTION(n, type, member, rows) \
    { .name = n, .kind = CONF_SECTION, AT(type, member), .record = &rows }
#define RECORDS(n, type, member, rows, dflt, text)                                          \
    { .name = n, .kind = CONF_RECORDS, AT(type, member), .fallback = dflt, .record = &rows, .help = text }

enum { KIB = 1 << 10, MIB = 1 << 20 };

/* The sections that have a file of their own, and what only the whole of them can tell. */
extern const struct conf_record settings_provider_record, settings_model_record;
extern const struct conf_record settings_tool_record;
extern const struct conf_record settings_database_record, settings_access_record;
extern const struct conf_record settings_dialects_record;
extern const struct conf_record settings_assistant_record, settings_routing_record;

bool settings_is_name(struct str s);
bool settings_is_header(struct str s);        /* a whole field: X-Key: secret   */
void settings_check_lookups(const struct conf_load *load, const struct lookup_settings *s);
bool settings_is_visible(struct str s);       /* ASCII without blanks           */
bool settings_is_web_address(struct str s);   /* http or https, without a query */
void settings_complete_access(const struct conf_load *load, struct settings *s);
void settings_complete_providers(const struct conf_load *load, struct settings *s);
void settings_check_dialects(const struct conf_load *load, const struct settings *s);
void settings_check_assistant(const struct conf_load *load, const struct settings *s);
void settings_check_model(const struct conf_load *load, const struct settings *s, struct str name,
                          const char *key);   /* it is there, or is empty       */
void settings_check_models(const struct conf_load *load, const struct settings *s);
void settings_check_tools(const struct conf_load *load, const struct settings *s);

#endif
