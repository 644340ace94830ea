/* fault.h - every way a turn can end other than well, in one table. */
#ifndef CHAT_FAULT_H
#define CHAT_FAULT_H

#include "base/str.h"

#include <stdbool.h>

/* How a turn ended: the same word in the stream, the log, the metric (and, when
 * conversations are kept, the database). */
enum end { END_COMPLETE, END_STOPPED, END_INTERRUPTED, END_ERROR };

/*  elsewhere: another service may do better; again: the same one, a moment later;
 *  breaks: it speaks against the service (provider/standing.h).
 *
 *    id              name              http  elsewhere  again  breaks  end   what the caller may read */
#define FAULTS(X)                                                                                      \
    X(OVERLOADED,     overloaded,       503,  true,  false, false, ERROR,       "too many answers are being made at the moment")    \
    X(PROVIDER_BUSY,  provider_busy,    503,  true,  false, false, ERROR,       "every provider of this model is busy")             \
    X(RESTING,        resting,          503,  true,  false, false, ERROR,       "the model service has failed repeatedly and is left alone for a moment") \
    X(UNREACHABLE,    unreachable,      502,  true,  true,  true,  ERROR,       "the model service could not be reached")           \
    X(CUT,            cut,              502,  true,  true,  true,  ERROR,       "the model service broke off its answer")           \
    X(GARBAGE,        garbage,          502,  true,  true,  true,  ERROR,       "the model service sent something unreadable")      \
    X(NO_FIRST_TOKEN, no_first_token,   504,  true,  false, true,  ERROR,       "the model service did not begin to answer in time") \
    X(WENT_QUIET,     went_quiet,       504,  true,  false, true,  ERROR,       "the model service went quiet in its answer")       \
    X(SERVICE_FAILED, service_failed,   502,  true,  true,  true,  ERROR,       "the model service failed")                         \
    X(SERVICE_DENIED, service_denied,   502,  true,  false, true,  ERROR,       "the model service did not let this service in")    \
    X(SERVICE_BUSY,   service_busy,     429,  true,  true,  false, ERROR,       "the model service is asked too often at the moment") \
    X(NOT_ACCEPTED,   not_accepted,     400,  false, false, false, ERROR,       "the model service did not accept this question")   \
    X(NOT_OFFERED,    not_offered,      400,  true,  false, false, ERROR,       "this model does not do what was asked")            \
    X(FILTERED,       filtered,         400,  false, false, false, ERROR,       "the model service's content filter refused this")  \
    X(RATE_LIMITED,   rate_limited,     429,  true,  false, false, ERROR,       "too many requests or tokens within a minute") \
    X(TOO_MANY_AT_ONCE, too_many_at_once, 429, true,  false, false, ERROR,      "too many answers are being made for you at the moment") \
    X(USED_UP,        insufficient_quota, 429, true,  false, false, ERROR,      "what you may use in a day is used up")             \
    X(NO_DATABASE,    no_database,      503,  true,  false, false, ERROR,       "the database is away; please ask again in a moment") \
    X(KEY_REUSED,     key_reused,       422,  false, false, false, ERROR,       "another question was asked with this Idempotency-Key")   \
    X(NO_CHAT,        no_chat,          404,  false, false, false, ERROR,       "the conversation is not there")                    \
    X(NOT_KEPT,       not_kept,         503,  true,  false, false, ERROR,       "the answer could not be kept")                     \
    X(TIMEOUT,        timeout,          504,  true,  false, false, ERROR,       "the answer took too long and was ended")           \
    X(ANSWER_TOO_BIG, answer_too_big,   502,  false, false, false, ERROR,       "the answer was larger than this service passes on") \
    X(TOO_MANY_ROUNDS, too_many_rounds, 502, false, false, false, ERROR,       "the model went on using tools for longer than this service lets it") \
    X(CONTEXT_TOO_LONG, context_too_long, 400, false, false, false, ERROR,      "Unable to manage context window (token limit exceeded). Context summarization failed. Please start a new conversation.") \
    X(STOPPED,        stopped,          409,  false, false, false, STOPPED,     "the answer was stopped")                           \
    X(CLIENT_GONE,    client_gone,      499,  false, false, false, INTERRUPTED, "the client closed the connection")                 \
    X(SHUTDOWN,       shutdown,         503,  true,  false, false, INTERRUPTED, "the service is restarting; please ask again")

enum fault {
    FAULT_NONE,
#define X(id, name, http, elsewhere, again, breaks, end, text) FAULT_##id,
    FAULTS(X)
#undef X
};

const char *end_name(enum end end);

const char *fault_name(enum fault fault);     /* "client_gone"                  */
const char *fault_text(enum fault fault);
enum fault  fault_read(struct str name);      /* FAULT_NONE: there is no such */
int         fault_http(enum fault fault);
bool        fault_may_retry(enum fault fault); /* somebody else, or the same later, may do better */
bool        fault_again(enum fault fault);
bool        fault_breaks(enum fault fault);
enum end    fault_end(enum fault fault);

#endif
