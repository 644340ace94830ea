/* http_redirect.h - where an answer sends us, and as what. No I/O.
 *
 * As browsers do it (the fetch standard), but for what would lead a tool astray: another
 * scheme, https left behind, users and passwords, odd hosts, ports where no web service is.
 */
#ifndef TOOL_HTTP_REDIRECT_H
#define TOOL_HTTP_REDIRECT_H

#include "base/buf.h"
#include "base/settings.h"

bool http_is_redirect(int status);

/* The whole address that `location` means in an answer from `from`. False: `why` says, in
 * words for the model, why nobody goes there. */
bool http_redirect(struct str from, struct str location, struct buf *to, const char **why);

/* A GET has no body any more. */
enum tool_method http_redirect_method(int status, enum tool_method method);

/* Who has the secrets of one may see those of the other. */
bool http_is_same_origin(struct str a, struct str b);

#endif
