/* assistant_work.h - what the assistant asks a model beside a talk: for a task, for a plugin. */
#ifndef API_ASSISTANT_WORK_H
#define API_ASSISTANT_WORK_H

#include "base/json.h"
#include "net/http_server.h"
#include "turn/turn.h"

/* With the assistant's usual limits. `prompt` may be empty. */
struct question *assistant_work_new(struct str prompt, struct str text);

/* A line as a model reads it, "name: value"; a text as it is, all else as JSON. */
void assistant_work_tell(const char *name, const struct json *value, struct buf *out);

/* The model that the rules choose for the question. NULL: none of them may be used. */
const struct model *assistant_work_model(struct http_exchange *x, struct question *q);

/* The turn owns the question from now on. `keeping` may be NULL. */
struct turn *assistant_work_start(struct http_exchange *x, struct question *q,
                                  const struct model *model, struct sink *sink,
                                  const struct turn_keeping *keeping);

#endif
