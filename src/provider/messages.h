/* messages.h - a question's messages one after the other, for kinds that say them their own
 * way: what is in them beside a role and a text came in OpenAI's form and is read here.
 *
 * What a walk gives lives until its next step; walk to the end, or message_walk_end().
 */
#ifndef PROVIDER_MESSAGES_H
#define PROVIDER_MESSAGES_H

#include "base/json.h"
#include "chat/question.h"

struct message_walk {
    const struct question *question;
    size_t                 next;
    const struct message  *message;
    const struct json     *raw;               /* NULL: role and text are all    */
    struct json_doc       *doc;               /* of raw                         */
    struct json_doc       *calls;             /* the newest one that called tools */
};

struct message_walk message_walk(const struct question *q);
bool                message_walk_next(struct message_walk *w);
void                message_walk_end(struct message_walk *w);

/* Which call a tool's message answers, and what the tool was called there. */
struct str message_call_id(const struct message_walk *w);
struct str message_tool_name(const struct message_walk *w);

/* As text, for those who know no tools: calls and their results are told. */
void message_tell(const struct message_walk *w, struct buf *out);

/* ---- calls of an assistant's message ------------------------------------------------- */

struct tool_call {
    struct str id, name, arguments;
};
struct tool_call_walk {
    struct json_walk   many;
    const struct json *one;                   /* function_call, from before there were many */
};
struct tool_call_walk tool_call_walk(const struct json *raw);
bool                  tool_call_walk_next(struct tool_call_walk *w, struct tool_call *call);

/* The arguments as the object they should be; {} when they are none. */
void tool_call_add_arguments(const struct tool_call *call, struct buf *out);

/* ---- parts of a content ----------------------------------------------------------------- */

/* The array of parts; NULL: the content is a text, or there is none. */
const struct json *message_parts(const struct message_walk *w);

bool part_is_text(const struct json *part, struct str *text);
bool part_is_image(const struct json *part, struct str *url);

/* Whether all parts of all messages that are no texts are taken. What is no picture either comes
 * with an empty address. */
bool parts_are_taken(const struct question *q,
                     bool (*takes)(const struct message_walk *w, struct str picture));

/* data:image/png;base64,... */
bool data_url_read(struct str url, struct str *type, struct str *base64);

#endif
