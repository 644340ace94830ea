/* secret_file.h - a secret that has a file of its own, as containers and supervisors give them. */
#ifndef BASE_SECRET_FILE_H
#define BASE_SECRET_FILE_H

#include "base/buf.h"

/* Adds what is in the file, but for the end of its last line: editors and echo put one there.
 * NULL: it is in `out`. Otherwise why not, and errno is ENOENT for one that is not there or empty. */
const char *secret_file_read(const char *path, struct buf *out);

#endif
