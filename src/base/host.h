/* host.h - hosts of addresses that somebody else may have worded: how they must be spelled,
 * and which of their addresses are everybody's. No I/O.
 *
 * Whoever may choose where we ask must not choose our neighbours: this machine, the network
 * behind it, what a cloud tells its machines at 169.254.169.254. So of all the spellings that
 * some reader somewhere takes for an address only two are one here, "192.0.2.7" and
 * "2001:db8::7", and anything else that is not plainly a name is no host at all.
 */
#ifndef BASE_HOST_H
#define BASE_HOST_H

#include "base/address.h"
#include "base/conf.h"

/* A name of letters, digits, "-" and "_" that no reader takes for a number, or an address;
 * of IPv6 without the brackets. */
bool host_is_plain(struct str host);

/* An address that the whole Internet knows by this number. */
bool host_is_public(const union address *a);

/* Is it one of these, exactly as written but for case and brackets? */
bool host_is_among(struct str host, const struct conf_texts *list);

/* What stands between "//" and the path: a plain host and perhaps a port, nothing else. */
bool host_of_authority(struct str authority, struct str *host);

#endif
