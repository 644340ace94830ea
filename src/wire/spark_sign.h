/* spark_sign.h - how iFlytek's gateway wants a WebSocket's address signed. No I/O.
 *
 * Host, date and request line are signed with the secret; key, signature and what was signed
 * become the authorization, which goes into the query together with date and host.
 */
#ifndef WIRE_SPARK_SIGN_H
#define WIRE_SPARK_SIGN_H

#include "base/buf.h"

struct spark_visit {
    struct str host;                          /* as in the Host field           */
    struct str path;                          /* without a query                */
    struct str key, secret;
    int64_t    seconds;                       /* since 1970                     */
};

void spark_add_signature(const struct spark_visit *v, struct buf *out);
void spark_add_authorization(const struct spark_visit *v, struct buf *out);

/* authorization=...&date=...&host=... */
void spark_add_query(const struct spark_visit *v, struct buf *out);

#endif
