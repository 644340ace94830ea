#include "cpu.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static uint64_t task_cpu(const char *pid, const char *task)
{
    char     path[600];
    uint64_t ns = 0;

    snprintf(path, sizeof path, "/proc/%s/task/%s/schedstat", pid, task);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return 0;
    if (fscanf(f, "%" SCNu64, &ns) != 1)
        ns = 0;
    fclose(f);
    return ns;
}

uint64_t cpu_of_process(int pid)
{
    char           path[64], name[16];
    struct dirent *entry;
    uint64_t       sum = 0;

    snprintf(name, sizeof name, "%d", pid);
    snprintf(path, sizeof path, "/proc/%s/task", name);
    DIR *tasks = opendir(path);
    while (tasks != NULL && (entry = readdir(tasks)) != NULL)
        if (entry->d_name[0] != '.')
            sum += task_cpu(name, entry->d_name);
    if (tasks != NULL)
        closedir(tasks);
    return sum;
}

/* What those of its children have used that have ended; to a hundredth of a second. */
static uint64_t ended_cpu(int pid)
{
    char     path[64], line[1024] = "";
    uint64_t user = 0, system = 0;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return 0;
    const char *name_end = fgets(line, sizeof line, f) != NULL ? strrchr(line, ')') : NULL;
    if (name_end != NULL &&
        sscanf(name_end,
               ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64 " %" SCNu64, &user,
               &system) != 2)
        user = system = 0;
    fclose(f);
    return (user + system) * UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK);
}

uint64_t cpu_of_family(int pid)
{
    char     path[64];
    int      child;
    uint64_t sum = cpu_of_process(pid) + ended_cpu(pid);

    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    FILE *f = fopen(path, "re");
    while (f != NULL && fscanf(f, "%d", &child) == 1)
        sum += cpu_of_process(child);
    if (f != NULL)
        fclose(f);
    return sum;
}
