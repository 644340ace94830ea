#include "database/cluster.h"

#include "base/clock.h"
#include "base/log.h"
#include "net/loop.h"
#include "net/resolve.h"
#include "store/migrate.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char        dir[] = "/tmp/runnel-cluster-XXXXXX", url[300];
static bool        timed_out;
static const bool *waits_for;

/* Runs deps/cluster.sh and keeps the first line it prints. */
static bool run(char line[300], const char *command, const char *more, const char *yet_more)
{
    char  where[100];
    int   status, out[2];
    FILE *f;
    pid_t child;

    snprintf(where, sizeof where, "%s/c", dir);
    if (pipe(out) != 0 || (child = fork()) < 0)
        return false;
    if (child == 0) {
        dup2(out[1], STDOUT_FILENO);
        close(out[0]);
        close(out[1]);
        execl("deps/cluster.sh", "cluster.sh", command, where, more, yet_more, NULL);
        _exit(127);
    }
    close(out[1]);
    f = fdopen(out[0], "r");
    if (!fgets(line, 300, f))
        line[0] = '\0';
    fclose(f);
    line[strcspn(line, "\n")] = '\0';
    return waitpid(child, &status, 0) == child && status == 0;
}

void cluster_do(const char *command, const char *more)
{
    char line[300];

    check_that(run(line, command, more, NULL), "cluster.sh %s", command);
}

struct str cluster_url(void)
{
    return str_of(url);
}

/* What `input`, a shell's command, prints is for psql; keeps the first line that comes of it. */
static bool ask_psql(char line[300], const char *input)
{
    char  command[2000];
    FILE *f;

    snprintf(command, sizeof command,
             "{ %s\n} | \"$(deps/cluster.sh bin)/psql\" -XqtA -v ON_ERROR_STOP=1 '%s'", input, url);
    f = popen(command, "r");
    if (!f)
        return false;
    if (!fgets(line, 300, f))
        line[0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    while (fgetc(f) != EOF)
        ;
    return pclose(f) == 0;
}

static void ignore_done(void *owner, const struct migration *m, uint64_t ns)
{
    (void)owner;
    (void)m;
    (void)ns;
}

void cluster_make_schema(void)
{
    static const struct store_migration_ops ops = { .done = ignore_done };
    struct store_migrate m = { .all = migrations, .n = n_migrations, .ops = &ops };
    char                 why[PG_WHY_MAX] = "";
    struct pg_now       *db = pg_now_open(cluster_url(), 5 * CLOCK_S, why);

    check_that(db, "%s", why);
    m.why = BUF(4096);
    check_that(pg_now_do(db, "DROP SCHEMA IF EXISTS runnel CASCADE") && store_migrate(&m, db),
               "%.*s %s", STR_ARG(buf_str(&m.why)), pg_now_why(db));
    buf_release(&m.why);
    pg_now_close(db);
}

void cluster_sql(char line[300], const char *format, ...)
{
    char    sql[1500], input[1600];
    va_list args;

    va_start(args, format);
    vsnprintf(sql, sizeof sql, format, args);
    va_end(args);
    snprintf(input, sizeof input, "cat <<'END'\n%s\nEND", sql);
    check_that(ask_psql(line, input), "psql: %s", sql);
    clock_update();                           /* the loop stood still meanwhile */
}

int cluster_begin(void **state)
{
    char line[300];

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    log_setup(LOG_ERROR, LOG_LOGFMT);
    if (!mkdtemp(dir) || chmod(dir, 0755) != 0)
        return 1;
    if (!run(line, "start", "--socket-only", "--fast") || !run(url, "url", NULL, NULL))
        return 1;
    loop_open();
    return 0;
}

int cluster_end(void **state)
{
    char line[300];

    (void)state;
    resolve_forget_all();
    loop_close();
    return run(line, "remove", NULL, NULL) && rmdir(dir) == 0 ? 0 : 1;
}

static void look(struct deadline *d)
{
    if (waits_for && *waits_for)
        loop_stop();
    else
        deadline_arm(d, clock_now() + CLOCK_MS);
}

static void give_up(struct deadline *d)
{
    (void)d;
    timed_out = true;
    loop_stop();
}

static bool turn(const bool *done, unsigned ms)
{
    struct deadline often = { .run = look }, limit = { .run = give_up };

    timed_out = false;
    waits_for = done;
    clock_update();
    deadline_arm(&often, clock_now() + CLOCK_MS);
    deadline_arm(&limit, clock_now() + ms * CLOCK_MS);
    loop_run();
    deadline_disarm(&often);
    deadline_disarm(&limit);
    return !timed_out;
}

void turn_until(const bool *done, unsigned ms)
{
    check_that(turn(done, ms), "it took longer than %u ms", ms);
}

void turn_for(unsigned ms)
{
    turn(NULL, ms);
}

static void on_rows(struct pg_work *w, size_t step, const struct pg_rows *rows)
{
    struct heard *h = w->owner;
    struct str    first;

    (void)step;
    if (h->rows == 0 && pg_n_rows(rows)) {
        first = pg_get(rows, 0, 0);
        snprintf(h->first, sizeof h->first, "%.*s", STR_ARG(first));
    }
    h->rows += pg_n_rows(rows);
}

static void on_done(struct pg_work *w, enum pg_end end)
{
    struct heard *h = w->owner;

    h->ends++;
    h->end = end;
    memcpy(h->sqlstate, w->sqlstate, sizeof h->sqlstate);
    h->all = h->ends == (h->wanted ? h->wanted : 1);
}

const struct pg_work_ops heard_ops = { .rows = on_rows, .done = on_done };
