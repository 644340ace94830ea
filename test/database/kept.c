#include "database/kept.h"

#include "base/clock.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct store *store;
bool          kept_ended;

const struct whose anna = { 1, STR_INIT("xcx"), STR_INIT("anna") };
const struct whose bob = { 1, STR_INIT("xcx"), STR_INIT("bob") };
const struct whose eve = { 2, STR_INIT("xcx"), STR_INIT("anna") };
const struct whose other = { 1, STR_INIT("session"), STR_INIT("anna") };

int kept_begin(void **state)
{
    char line[300];

    if (cluster_begin(state) != 0)
        return 1;
    cluster_make_schema();
    cluster_sql(line, "INSERT INTO runnel.tenant (name) VALUES ('another site')");
    return 0;
}

int kept_end(void **state)
{
    return cluster_end(state);
}

void open_store(size_t connections)
{
    char                  why[PG_WHY_MAX] = "";
    struct store_settings s = { .pool = { .conninfo = cluster_url(),
                                          .connections = connections,
                                          .max_waiting = 10000,
                                          .prepares = true,
                                          .connect_timeout = 2 * CLOCK_S },
                                .notifies = true };

    store = store_open(&s, why);
    check_that(store, "%s", why);
}

void close_store(void)
{
    store_close(store);
    store = NULL;
    turn_for(5);
}

void kept_done(struct verb *v)
{
    (void)v;
    kept_ended = true;
}

int64_t chat_of(const struct whose *w, const char *uid)
{
    struct chat_call c = { 0 };
    struct new_chat  n = { .uid = str_of(uid), .mode = STR("normal") };
    int64_t          id;

    AWAIT(c, chat_open(store, &c, w, &n));
    check_end(c, STORE_OK);
    id = c.chats[0].id;
    verb_drop(&c.verb);
    return id;
}

void check_sql(const char *want, const char *sql)
{
    char line[300];

    cluster_sql(line, "%s", sql);
    check_that(strcmp(line, want) == 0, "%s: %s", sql, line);
}

static pid_t killer;

void start_killing(void)
{
    char command[1000];

    /* It ends with its psql, so that it cannot outlive the cluster. */
    snprintf(command, sizeof command,
             "psql=\"$(deps/cluster.sh bin)/psql\"; while sleep 0.25 && echo \"SELECT "
             "pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND "
             "backend_type = 'client backend';\"; do :; done 2> /dev/null | "
             "\"$psql\" -Xq '%.*s' > /dev/null 2>&1",
             STR_ARG(cluster_url()));
    killer = fork();
    if (killer == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
    }
    setpgid(killer, killer);
    check_that(killer > 0, "no killer");
}

void stop_killing(void)
{
    kill(-killer, SIGKILL);
    waitpid(killer, NULL, 0);
}
