#include "base/common.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

void *common_new(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        die("no memory to share between processes: %s", strerror(errno));
    return p;
}
