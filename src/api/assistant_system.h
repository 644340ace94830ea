/* assistant_system.h - how the service is, as the assistant's clients read it. */
#ifndef API_ASSISTANT_SYSTEM_H
#define API_ASSISTANT_SYSTEM_H

#include "base/buf.h"

enum { ASSISTANT_ACTIVE_S = 3600 };           /* a session is, for so long      */

/* The members of an object; `active` sessions are. */
void assistant_add_status(int64_t active, struct buf *out);

#endif
