/* assistant_question.h - reads the bodies of POST /api/v1/chat and /api/v1/chat/stream. No I/O. */
#ifndef API_ASSISTANT_QUESTION_H
#define API_ASSISTANT_QUESTION_H

#include "base/json.h"
#include "chat/question.h"

enum assistant_type { ASSISTANT_AUTO, ASSISTANT_LOCAL, ASSISTANT_CLOUD, ASSISTANT_PLUGIN };

struct assistant_wish {
    struct str          session;              /* empty: a new one               */
    struct str          model;                /* that is preferred; or empty    */
    enum assistant_type type;
};

struct assistant_problem {
    const char *field;
    const char *reason;
};

/* Of the text of a question: the two reasons that say that there is none. */
extern const char assistant_missing[], assistant_empty[];

/* NULL when something is wrong; `problem` then says what. Texts are in the question's arena. */
struct question *assistant_read_question(const struct json *body, uint64_t max_tokens,
                                         struct assistant_wish    *wish,
                                         struct assistant_problem *problem);

/* The same of a message to /ws/chat: {"type":"chat","data":{...}}. Some clients write the text as
 * `content`, and some beside `data` or without it. */
struct question *assistant_read_frame(const struct json *frame, uint64_t max_tokens,
                                      struct assistant_wish    *wish,
                                      struct assistant_problem *problem);

/* A name of a session that somebody else gave it. */
bool assistant_is_session(struct str id);

#endif
