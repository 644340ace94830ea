/* address.h - endpoints and blocks of addresses, as text and as numbers. No I/O. */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include "base/str.h"

#include <netinet/in.h>
#include <sys/socket.h>

union address {
    struct sockaddr     any;
    struct sockaddr_in  v4;
    struct sockaddr_in6 v6;
};

enum { ADDRESS_TEXT_SIZE = INET6_ADDRSTRLEN + 8 };

bool address_is_endpoint(struct str s);                    /* "1.2.3.4:80", "[::1]:80" */
bool address_is_block(struct str s);                       /* "10.0.0.0/8", "::1"      */
bool address_read_endpoint(struct str s, union address *out);
bool address_read_host(struct str s, union address *out);  /* without a port           */
bool address_in_block(const union address *a, struct str block);

void address_write_host(const union address *a, char out[ADDRESS_TEXT_SIZE]);
void address_write_endpoint(const union address *a, char out[ADDRESS_TEXT_SIZE]);

#endif
