/* The figures are the program's own and are never reset: tests look at differences, or
 * take a metric that no other test here touches. */
#include "check.h"

#include "base/common.h"
#include "base/metrics.h"

#include <regex.h>
#include <sys/wait.h>
#include <unistd.h>

static struct buf text = { .limit = 1 << 20 };

static struct str written(void)
{
    buf_clear(&text);
    metrics_write(&text);
    assert_false(text.over);
    return buf_str(&text);
}

/* How many lines are exactly this. */
static int lines(const char *line)
{
    struct str rest = written(), got;
    int        n = 0;

    while (str_next(&rest, '\n', &got))
        n += str_eq(got, str_of(line));
    return n;
}

TEST(every_metric_has_help_type_and_a_name_of_its_own)
{
    static const struct {
        const char *name, *kind;
    } rows[] = {
        { "runnel_connections", "gauge" },
        { "runnel_connections_total", "counter" },
        { "runnel_connections_refused_total", "counter" },
        { "runnel_http_requests_total", "counter" },
        { "runnel_turns_running", "gauge" },
        { "runnel_turns_total", "counter" },
        { "runnel_turn_events_total", "counter" },
        { "runnel_first_event_seconds", "histogram" },
        { "runnel_event_gap_seconds", "histogram" },
        { "runnel_loop_lag_seconds", "histogram" },
        { "runnel_received_bytes_total", "counter" },
        { "runnel_sent_bytes_total", "counter" },
        { "runnel_resident_bytes", "gauge" },
        { "runnel_allocated_bytes", "gauge" },
        { "runnel_allocations_total", "counter" },
    };
#define X(id, kind, name, labels, help) { name, help },
    static const struct {
        const char *name, *help;
    } table[] = { METRICS(X) };
#undef X
    char line[300];

    for (size_t i = 0; i < COUNT(rows); i++) {
        snprintf(line, sizeof line, "# TYPE %s %s", rows[i].name, rows[i].kind);
        check_that(lines(line) == 1, "%s", line);
    }
    for (size_t i = 0; i < COUNT(table); i++) {
        snprintf(line, sizeof line, "# HELP %s %s", table[i].name, table[i].help);
        check_that(lines(line) == 1, "%s", line);
    }
}

TEST(plain_figures_are_added_set_and_written)
{
    int64_t before = metric_value(METRIC_SENT);

    metric_add(METRIC_SENT, 5000000000);
    metric_add(METRIC_SENT, 1);
    assert_int_equal(metric_value(METRIC_SENT) - before, 5000000001);
    metric_set(METRIC_CONNECTIONS, 7);
    metric_add(METRIC_CONNECTIONS, -2);
    assert_int_equal(lines("runnel_connections 5"), 1);
    metric_set(METRIC_CONNECTIONS, 0);
    assert_int_equal(lines("runnel_connections 0"), 1);
    assert_int_equal(lines("runnel_sent_bytes_total 5000000001"), 1);
}

TEST(each_combination_of_labels_counts_by_itself)
{
    assert_false(check_has(written(), STR("runnel_http_requests_total{")));
    assert_int_equal(lines("runnel_http_requests_total 0"), 0);
    for (int i = 0; i < 3; i++)
        metric_add_labelled(METRIC_REQUESTS, "/livez", "200");
    metric_add_labelled(METRIC_REQUESTS, "/livez", "405");
    metric_add_labelled(METRIC_REQUESTS, "/metrics", "200");
    assert_int_equal(lines("runnel_http_requests_total{route=\"/livez\",status=\"200\"} 3"), 1);
    assert_int_equal(lines("runnel_http_requests_total{route=\"/livez\",status=\"405\"} 1"), 1);
    assert_int_equal(lines("runnel_http_requests_total{route=\"/metrics\",status=\"200\"} 1"), 1);
}

TEST(one_label_is_written_alone_and_values_are_copied)
{
    char end[] = "complete";

    metric_add_labelled(METRIC_TURNS, end, "");
    end[0] = 'X';
    metric_add_labelled(METRIC_TURNS, "complete", "");
    metric_add_labelled(METRIC_TURNS, "error", "");
    assert_int_equal(lines("runnel_turns_total{end=\"complete\"} 2"), 1);
    assert_int_equal(lines("runnel_turns_total{end=\"error\"} 1"), 1);
}

static const struct {
    uint64_t    us;
    const char *le;
} bounds[] = {
    { 100, "0.0001" },  { 250, "0.00025" }, { 500, "0.0005" },  { 1000, "0.001" },
    { 2500, "0.0025" }, { 5000, "0.005" },  { 10000, "0.01" },  { 25000, "0.025" },
    { 50000, "0.05" },  { 100000, "0.1" },  { 250000, "0.25" }, { 500000, "0.5" },
    { 1000000, "1" },   { 2500000, "2.5" }, { 5000000, "5" },   { 10000000, "10" },
    { 30000000, "30" }, { 60000000, "60" },
};

/* Exactly the bound counts as "at most the bound"; a nanosecond more does not. */
TEST(histograms_count_at_and_just_over_each_bound)
{
    char   line[100];
    double sum = 0;

    for (size_t i = 0; i < COUNT(bounds); i++) {
        metric_observe(METRIC_FIRST_EVENT, bounds[i].us * 1000);
        metric_observe(METRIC_FIRST_EVENT, bounds[i].us * 1000 + 1);
        sum += (double)bounds[i].us / 5e5;
    }
    for (size_t i = 0; i < COUNT(bounds); i++) {
        snprintf(line, sizeof line, "runnel_first_event_seconds_bucket{le=\"%s\"} %zu",
                 bounds[i].le, 2 * i + 1);
        check_that(lines(line) == 1, "%s", line);
    }
    snprintf(line, sizeof line, "runnel_first_event_seconds_sum %.6f", sum);
    check_that(lines(line) == 1, "%s", line);
    assert_int_equal(lines("runnel_first_event_seconds_bucket{le=\"+Inf\"} 36"), 1);
    assert_int_equal(lines("runnel_first_event_seconds_count 36"), 1);
}

TEST(a_histogram_takes_nothing_and_hours)
{
    metric_observe(METRIC_EVENT_GAP, 0);
    metric_observe(METRIC_EVENT_GAP, 7200ull * 1000000000);
    assert_int_equal(lines("runnel_event_gap_seconds_bucket{le=\"0.0001\"} 1"), 1);
    assert_int_equal(lines("runnel_event_gap_seconds_bucket{le=\"60\"} 1"), 1);
    assert_int_equal(lines("runnel_event_gap_seconds_bucket{le=\"+Inf\"} 2"), 1);
    assert_int_equal(lines("runnel_event_gap_seconds_sum 7200.000000"), 1);
    assert_int_equal(lines("runnel_loop_lag_seconds_count 0"), 1);
}

TEST(every_line_is_in_the_text_format)
{
    struct str rest = written(), line;
    regex_t    re;
    char       copy[300];

    assert_int_equal(text.p[text.n - 1], '\n');
    assert_int_equal(
        regcomp(&re,
                "^(# HELP [a-z_]+ [^\\]+|# TYPE [a-z_]+ (counter|gauge|histogram)|"
                "[a-z_]+(\\{[a-z]+=\"[^\"\\]*\"(,[a-z]+=\"[^\"\\]*\")*\\})? -?[0-9.]+)$",
                REG_EXTENDED | REG_NOSUB),
        0);
    while (str_next(&rest, '\n', &line) && rest.p) {
        assert_in_range(line.n, 1, sizeof copy - 1);
        memcpy(copy, line.p, line.n);
        copy[line.n] = '\0';
        check_that(regexec(&re, copy, 0, NULL, 0) == 0, "%s", copy);
    }
    regfree(&re);
}

TEST(release_gives_the_labelled_figures_back)
{
    metric_add_labelled(METRIC_RELOADS, "done", "");
    metrics_release();
    assert_false(check_has(written(), STR("runnel_reloads_total{")));
    metric_add_labelled(METRIC_RELOADS, "done", "");
    assert_int_equal(lines("runnel_reloads_total{result=\"done\"} 1"), 1);
    metrics_release();
}

/* Other processes' pages are written by children, which end before they are looked at. */
static void in_a_child(size_t page, void (*count)(void))
{
    pid_t pid = fork();
    int   status = 0;

    if (pid == 0) {
        metrics_use(page);
        count();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void count_some(void)
{
    metric_add(METRIC_ACCEPTED, 3);
    metric_set(METRIC_TURNS_RUNNING, 2);
    metric_longest(METRIC_LOOP_STALL, 2500000000);
    metric_observe(METRIC_LOOP_LAG, 100000);
    metric_observe(METRIC_LOOP_LAG, 7200ull * 1000000000);
    metric_add_labelled(METRIC_TURNS, "complete", "");
    metric_add_labelled(METRIC_REQUESTS, "/livez", "200");
}

static void count_others(void)
{
    metric_add(METRIC_ACCEPTED, 4);
    metric_set(METRIC_TURNS_RUNNING, 5);
    metric_longest(METRIC_LOOP_STALL, 1500000000);
    metric_add_labelled(METRIC_TURNS, "error", "");
    metric_add_labelled(METRIC_TURNS, "complete", "");
}

TEST(pages_are_summed_and_a_dead_process_leaves_what_it_counted)
{
    int64_t pid;

    assert_true(metrics_process(0, &pid) && pid == getpid());
    assert_false(metrics_process(1, &pid));
    metrics_share(common_new(3 * metrics_page_size()), 3);
    metrics_use(2);
    in_a_child(0, count_some);
    in_a_child(1, count_others);
    assert_true(metrics_process(1, &pid) && pid != getpid() && pid > 0);
    assert_true(metrics_process(2, &pid) && pid == getpid());
    assert_int_equal(lines("runnel_connections_total 7"), 1);
    assert_int_equal(lines("runnel_turns_running 7"), 1);
    assert_int_equal(metric_total(METRIC_TURNS_RUNNING), 7);
    assert_int_equal(metric_value(METRIC_TURNS_RUNNING), 0);
    assert_int_equal(lines("runnel_loop_longest_stall_seconds 2.500000"), 1);
    assert_int_equal(lines("runnel_turns_total{end=\"complete\"} 2"), 1);
    assert_int_equal(lines("runnel_turns_total{end=\"error\"} 1"), 1);
    assert_int_equal(lines("runnel_loop_lag_seconds_count 2"), 1);
    assert_int_equal(lines("runnel_loop_lag_seconds_bucket{le=\"60\"} 1"), 1);

    metrics_retire(0);
    assert_true(metrics_process(0, &pid) && pid == 0);
    assert_int_equal(lines("runnel_turns_running 5"), 1);
    assert_int_equal(lines("runnel_connections_total 7"), 1);
    in_a_child(0, count_some);
    assert_int_equal(lines("runnel_connections_total 10"), 1);
    assert_int_equal(lines("runnel_turns_running 7"), 1);
    assert_int_equal(lines("runnel_turns_total{end=\"complete\"} 3"), 1);
    assert_int_equal(lines("runnel_loop_longest_stall_seconds 2.500000"), 1);
}

static void count_too_many(void)
{
    char route[200];

    for (int i = 0; i < 2000; i++) {
        snprintf(route, sizeof route, "/%d/%0150d", i, i);
        metric_add_labelled(METRIC_REQUESTS, route, "200");
        metric_add_labelled(METRIC_REQUESTS, route, "200");
    }
}

/* Label values are few and short; if they were not, figures would be missing, nothing worse. */
TEST(there_is_an_end_to_labels)
{
    in_a_child(1, count_too_many);
    assert_false(check_has(written(), STR("/1999/")));
    assert_true(check_has(written(), STR("route=\"/7/0000")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_metric_has_help_type_and_a_name_of_its_own),
        cmocka_unit_test(plain_figures_are_added_set_and_written),
        cmocka_unit_test(each_combination_of_labels_counts_by_itself),
        cmocka_unit_test(one_label_is_written_alone_and_values_are_copied),
        cmocka_unit_test(histograms_count_at_and_just_over_each_bound),
        cmocka_unit_test(a_histogram_takes_nothing_and_hours),
        cmocka_unit_test(every_line_is_in_the_text_format),
        cmocka_unit_test(release_gives_the_labelled_figures_back),
        cmocka_unit_test(pages_are_summed_and_a_dead_process_leaves_what_it_counted),
        cmocka_unit_test(there_is_an_end_to_labels),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    buf_release(&text);
    return failed;
}
