/* room_fields.h - tells a client what he may yet use, in the fields that SDKs know. */
#ifndef API_ROOM_FIELDS_H
#define API_ROOM_FIELDS_H

#include "net/http_server.h"
#include "store/budget.h"

void room_add_fields(struct http_exchange *x, const struct budget_call *room);

#endif
