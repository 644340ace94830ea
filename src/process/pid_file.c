#include "process/pid_file.h"

#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char written[PATH_MAX];                /* empty: none                    */

void pid_file_write(struct str path)
{
    FILE *f;
    bool  is_out;

    if (path.n == 0 || path.n >= sizeof written)
        return;
    f = fopen(path.p, "we");
    is_out = f && fprintf(f, "%d\n", (int)getpid()) > 0;
    if (!f || fclose(f) != 0 || !is_out)
        die("pid_file: cannot write %s: %s", path.p, strerror(errno));
    memcpy(written, path.p, path.n + 1);
}

static int whose(void)
{
    FILE *f = fopen(written, "re");
    int   pid = 0;

    if (f && fscanf(f, "%d", &pid) != 1)
        pid = 0;
    if (f)
        fclose(f);
    return pid;
}

void pid_file_remove(void)
{
    if (written[0] && whose() == getpid())
        unlink(written);
    written[0] = '\0';
}
