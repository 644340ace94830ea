/* ws_sink.h - the sink of an answer that is told over a WebSocket, beside other things.
 *
 * Each event that the dialect has something to say of is one message; those that are told
 * between two flushes leave in one write.
 */
#ifndef API_WS_SINK_H
#define API_WS_SINK_H

#include "api/dialect.h"
#include "net/ws_server.h"
#include "turn/sink.h"

struct ws_sink {
    struct sink           sink;
    struct ws_conn       *ws;                 /* NULL: the client is gone       */
    const struct dialect *dialect;
    void                 *state;
    void (*over)(void *user);                 /* the last word has been said    */
    void *user;
};

/* Takes `state`. Until over() or ws_sink_leave() it is there. */
struct ws_sink *ws_sink_new(struct ws_conn *ws, const struct dialect *d, void *state,
                            void (*over)(void *user), void *user);
void            ws_sink_room(struct ws_sink *s);
void            ws_sink_leave(struct ws_sink *s);     /* without over()                 */

/* Whether its answer is being made yet: then its turn can be interrupted. */
bool ws_sink_is_told(const struct ws_sink *s);

#endif
