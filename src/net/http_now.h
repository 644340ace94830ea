/* http_now.h - one question over HTTP, waiting for its answer.
 *
 * For the operator's commands: nothing that runs on the loop may wait like this.
 */
#ifndef NET_HTTP_NOW_H
#define NET_HTTP_NOW_H

#include "base/address.h"
#include "base/buf.h"

enum { HTTP_NOW_BODY_MAX = 4096, HTTP_NOW_WHY_MAX = 256 };

struct http_now {
    int        status;
    struct buf body;                          /* as it came, at most the limit  */
    char       why[HTTP_NOW_WHY_MAX];         /* there was no answer            */
};

/* Plain http. False: `why` tells what stood in the way. Release it in any case. */
bool http_now_get(struct http_now *a, const union address *to, struct str path, uint64_t timeout);
void http_now_release(struct http_now *a);

#endif
