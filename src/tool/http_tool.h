/* http_tool.h - a tool that is a web service: one request for each run.
 *
 * The operator says where it is and what its secrets are, the model words the arguments, the
 * service words the answer. So arguments cannot choose the host (http_order.h), redirects are
 * looked at like strangers and lose the secrets with the origin (http_redirect.h), and but for
 * the hosts that the operator lets in only public addresses are reached (net/reach.h).
 *
 * A service that is told under which name it may go on, and answers 202, does so.
 */
#ifndef TOOL_HTTP_TOOL_H
#define TOOL_HTTP_TOOL_H

#include "tool/tool.h"

/* The settings' texts are copied. Its certificates are read now: not while turns run. */
struct tool *http_tool_new(const struct tool_settings *s);

#endif
