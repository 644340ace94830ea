/* guard.h - who may ask.
 *
 * What a request shows in its Authorization field is a key of the settings, a person's token,
 * or a key of the database. The answer is kept for access.cache, under the SHA-256 of what was
 * shown; while it is looked up, requests that show the same wait together. A service without
 * keys, tokens and database lets everybody in.
 */
#ifndef API_GUARD_H
#define API_GUARD_H

#include "base/settings.h"
#include "net/http_server.h"
#include "store/askers.h"
#include "wire/jwt.h"

/* From now on; the settings stay the caller's, the store may be NULL. False: `why` tells what is
 * wrong with the key for tokens, and nothing was changed. */
bool guard_configure(const struct access_settings *a, struct store *store, const char **why);
void guard_release(void);                     /* at the very end                */

/* In on_head(): holds the request until it is known who asks. False: it was refused. */
bool guard_check(struct http_exchange *x, const struct http_reader *rq);

/* The same of a WebSocket. Pages cannot set the fields of its request, so they may show what they
 * have as a subprotocol, "bearer.<key>", or in the query, as `token`. */
bool guard_check_socket(struct http_exchange *x, const struct http_reader *rq);

/* At a door with keys of its own; to other doors they mean nothing. */
bool guard_check_door(struct http_exchange *x, const struct http_reader *rq,
                      const struct conf_texts *keys);

/* Why not, of those who show nothing, or show it in no way that is known here. */
extern const char guard_wants_key[], guard_wants_bearer[];

/* Whether he still would be let in, who was long ago, and goes on asking. He is believed as then
 * while he is looked up again: what has changed is known the next time. */
bool guard_is_welcome(const struct http_exchange *x);

/* Of a request that was let in, until guard_forget(), which belongs into on_end(). */
const struct asker *guard_asker(const struct http_exchange *x);
void                guard_forget(const struct http_exchange *x);

/* Whose is what is kept of his turns: the person's subject, else a name of the key. */
struct str guard_owner(const struct http_exchange *x, struct arena *a);

/* The tokens that a log-in gives; an empty type is of those that show who asks. False: there is
 * no key that can sign. */
bool guard_make_token(struct str type, struct str tenant, struct str subject, uint64_t lifetime,
                      struct buf *token);
enum jwt_verdict guard_read_token(struct str token, struct str type, struct jwt *out);

bool guard_may_use(const struct http_exchange *x, struct str model);

#endif
