/* options.h - what goes into a request beside the messages: what the client asked for, in
 * OpenAI's words, and what the provider's settings add to every request, in the provider's.
 *
 * The client's own member of the same name wins. Values live until options_close().
 * A struct members is a JSON object that is being written; no name comes twice in it, the
 * first one stands, whatever clients and settings bring.
 */
#ifndef PROVIDER_OPTIONS_H
#define PROVIDER_OPTIONS_H

#include "base/json.h"
#include "provider/provider.h"

struct options {
    struct json_doc *client, *extra;
};

struct options options_open(const struct provider *p, const struct question *q);
void           options_close(struct options *o);

const struct json *options_client(const struct options *o); /* the objects themselves */
const struct json *options_extra(const struct options *o);
const struct json *options_get(const struct options *o, const char *name); /* of either */

/* How long the answer may be: the client's limit, else the settings', else 0. */
uint64_t options_max_tokens(const struct options *o, const struct question *q);

/* ---- tools, also those of clients that still say "functions" ------------------------ */

const struct json *options_tools(const struct options *o);
const struct json *tool_function(const struct json *tool);  /* NULL: it is something else */

/* As {name, description, schema}; for some services a schema must say that it is an object's. */
void tool_write_function(const struct json *function, const char *schema, struct buf *out);

enum tool_choice { TOOLS_UNSAID, TOOLS_NONE, TOOLS_AUTO, TOOLS_REQUIRED, TOOLS_NAMED, TOOLS_OTHER };

/* TOOLS_NAMED: the function is in `name`. */
enum tool_choice options_tool_choice(const struct options *o, struct str *name);

/* ---- writing ---------------------------------------------------------------------------- */

enum { MEMBERS_MAX = 40 };

struct members {
    struct buf        *out;
    const char        *names[MEMBERS_MAX];
    size_t             n;
    const struct json *copied[2];             /* whose members are in it, too   */
    size_t             n_copied;
    bool               any;
};

struct members members_open(struct buf *out);
void           members_close(struct members *m);

/* The value is for the caller to write; false: there is one by that name. */
bool members_add_name(struct members *m, const char *name);

/* As if it were there: it stands elsewhere. */
void members_skip(struct members *m, const char *name);

void members_add(struct members *m, const char *name, const struct json *v); /* NULL: nothing */
void members_add_str(struct members *m, const char *name, struct str s);
void members_add_u64(struct members *m, const char *name, uint64_t v);
void members_add_clamped(struct members *m, const char *name, const struct json *v, double low,
                         double high);        /* nothing unless v is a number   */
void members_add_list(struct members *m, const char *name, const struct json *v); /* a text: [it] */
void members_add_tools(struct members *m, const char *name, const struct options *o);

/* Those of `object` that are not in it yet; at most twice. */
void members_add_rest(struct members *m, const struct json *object);

#endif
