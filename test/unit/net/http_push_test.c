/* http_push_test.c - what streams push leaves together, and whole. */
#include "check.h"

#include "base/clock.h"
#include "base/settings.h"
#include "net/http_server.h"
#include "net/loop.h"
#include "net/ports.h"
#include "net/stream.h"

#include <sys/socket.h>
#include <unistd.h>

enum { TOGETHER = 16, READERS = TOGETHER + 1 };

static struct http_server    server;
static struct settings      *settings;
static union address         bound;
static int                   readers[READERS];
static struct http_exchange *streams[READERS];
static size_t                n_streams;
static void (*scene)(void);

/* ---- an app that begins a stream for everybody, and a scene when all are there -------- */

static bool on_head(struct http_exchange *x, const struct http_reader *rq)
{
    (void)x;
    (void)rq;
    return true;
}

static void on_request(struct http_exchange *x, const struct http_reader *rq)
{
    http_begin(x, 200, STR("text/plain"), STR(""));
    streams[rq->target.path.p[1] - 'a'] = x;
    if (++n_streams < READERS)
        return;
    scene();
    loop_stop();
}

static void write_refusal(const struct http_exchange *x, struct str path, int status,
                          const char *why, struct buf *body)
{
    (void)x;
    (void)path;
    (void)body;
    check_that(false, "%d: %s", status, why);
}

static void on_end(const struct http_exchange *x, struct str path)
{
    (void)x;
    (void)path;
}

static const struct http_app app = { on_head, on_request, write_refusal, on_end };

static void open_readers(void)
{
    char ask[] = "GET /a HTTP/1.1\r\nhost: x\r\n\r\n";

    for (size_t i = 0; i < READERS; i++, ask[5]++) {
        readers[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(readers[i], &bound.any, sizeof bound.v4), 0);
        assert_int_equal(write(readers[i], ask, sizeof ask - 1), sizeof ask - 1);
    }
}

static void play(void (*which)(void))
{
    union address at;

    scene = which;
    n_streams = 0;
    address_read_endpoint(STR("127.0.0.1:0"), &at);
    assert_int_equal(
        http_server_open(&server, &app, &settings->http, 65536, port_open(&at, &bound)), 0);
    open_readers();
    loop_run();
}

static void stop_when_empty(struct deadline *d)
{
    if (http_server_is_empty(&server))
        loop_stop();
    else
        deadline_arm(d, clock_now() + CLOCK_MS);
}

static void close_all(void)
{
    struct deadline look = { .run = stop_when_empty };

    for (size_t i = 0; i < READERS; i++)
        close(readers[i]);
    http_server_drain(&server);
    http_server_hurry(&server);
    deadline_arm(&look, clock_now());
    loop_run();
}

/* What has arrived so far, behind the head of the answer. */
static struct str arrived(size_t reader)
{
    static char text[10000];
    ssize_t     n = recv(readers[reader], text, sizeof text - 1, MSG_DONTWAIT);

    text[n > 0 ? n : 0] = '\0';
    return str_of(strncmp(text, "HTTP/", 5) == 0 ? strstr(text, "\r\n\r\n") + 4 : text);
}

static void say(size_t i, struct str text)
{
    buf_add(http_body(streams[i]), text);
}

static void push(size_t i, struct str text)
{
    say(i, text);
    assert_true(http_push(streams[i]));
}

#define CHUNK(size, text) "0000000" #size "\r\n" text "\r\n"

/* ---- scenes ------------------------------------------------------------------------------ */

static void push_sixteen(void)
{
    for (size_t i = 0; i < TOGETHER - 1; i++)
        push(i, STR("word"));
    check_str(arrived(0), "");
    push(TOGETHER - 1, STR("word"));
    for (size_t i = 0; i < TOGETHER; i++)
        check_str(arrived(i), CHUNK(4, "word"));
    push(TOGETHER, STR("late"));
    check_str(arrived(TOGETHER), "");
}

TEST(pushes_leave_sixteen_at_a_time_or_when_the_pass_is_over)
{
    play(push_sixteen);
    check_str(arrived(TOGETHER), CHUNK(4, "late"));
    close_all();
}

/* Others make the sixteen full while the first one, whose push waits among them, is at its
 * next chunk: nobody knows that chunk's size yet. */
static void push_in_the_middle(void)
{
    push(0, STR("one"));
    say(0, STR("two "));
    for (size_t i = 1; i < READERS; i++)
        push(i, STR("word"));
    check_str(arrived(0), "");
    check_str(arrived(1), CHUNK(4, "word"));
    push(0, STR("more"));
    http_finish(streams[0]);
}

TEST(a_chunk_that_is_being_written_does_not_leave)
{
    play(push_in_the_middle);
    check_str(arrived(0), CHUNK(3, "one") CHUNK(8, "two more") "0\r\n\r\n");
    close_all();
}

static void cut_one_of_them(void)
{
    push(0, STR("word"));
    push(1, STR("word"));
    http_cut(streams[0]);
    for (size_t i = 2; i < TOGETHER; i++)
        push(i, STR("word"));
    check_str(arrived(1), "");                /* there are only fifteen of them */
    push(1, STR("word"));
}

TEST(who_is_cut_leaves_the_others_in_line)
{
    play(cut_one_of_them);
    check_str(arrived(1), CHUNK(4, "word") CHUNK(4, "word"));
    close_all();
}

static int begin(void **state)
{
    struct buf mistakes = BUF(10000);

    (void)state;
    loop_open();
    settings = settings_load(NULL, (const char *const[]){ NULL }, &mistakes);
    alarm(60);
    return 0;
}

static int end(void **state)
{
    (void)state;
    loop_close();
    http_readers_release();
    streams_release();
    settings_free(settings);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pushes_leave_sixteen_at_a_time_or_when_the_pass_is_over),
        cmocka_unit_test(a_chunk_that_is_being_written_does_not_leave),
        cmocka_unit_test(who_is_cut_leaves_the_others_in_line),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
