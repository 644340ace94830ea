/* metrics.h - the metrics table: every figure the service shows about itself.
 *
 * A row here is all it takes: name, kind, labels, help. Plain metrics are one
 * number; a labelled one has a child per combination of label values. Label
 * values come from fixed sets (routes, statuses, ends), never from requests.
 *
 * Figures stand in memory that needs no allocation, so that processes can share it.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include "base/buf.h"

/*    id               kind       name                              labels          help   */
#define METRICS(X)                                                                            \
    X(CONNECTIONS,     GAUGE,     "runnel_connections",             "",                       \
      "Client connections open now.")                                                         \
    X(ACCEPTED,        COUNTER,   "runnel_connections_total",       "",                       \
      "Client connections accepted.")                                                         \
    X(REFUSED,         COUNTER,   "runnel_connections_refused_total", "",                     \
      "Client connections refused because too many were open.")                               \
    X(WEBSOCKETS,      GAUGE,     "runnel_websockets",              "",                       \
      "WebSockets open now.")                                                                 \
    X(REQUESTS,        COUNTER,   "runnel_http_requests_total",     "route,status",           \
      "Requests answered, by route and HTTP status.")                                         \
    X(RECEIVED,        COUNTER,   "runnel_received_bytes_total",    "",                       \
      "Bytes read from clients and providers.")                                                             \
    X(SENT,            COUNTER,   "runnel_sent_bytes_total",        "",                       \
      "Bytes given to the kernel for clients and providers.")                                               \
    X(TLS_HANDSHAKES,  COUNTER,   "runnel_tls_handshakes_total",    "result",                 \
      "TLS handshakes with providers: full, resumed, failed.")                                \
    X(CALLS,           COUNTER,   "runnel_calls_total",             "result",                 \
      "Calls to providers, by what came of them.")                                            \
    X(RETRIES,         COUNTER,   "runnel_retries_total",           "where",                  \
      "Calls that followed a failed one: again, elsewhere.")                                  \
    X(BREAKS,          COUNTER,   "runnel_breaks_total",            "",                       \
      "How often a breaker has opened.")                                                      \
    X(BREAKERS_OPEN,   GAUGE,     "runnel_breakers_open",           "",                       \
      "Models of providers that are left alone now.")                                         \
    X(TURNS_RUNNING,   GAUGE,     "runnel_turns_running",           "",                       \
      "Turns that have a place now.")                                                         \
    X(TURNS_WAITING,   GAUGE,     "runnel_turns_waiting",           "",                       \
      "Turns that wait for a place now.")                                                     \
    X(TURNS,           COUNTER,   "runnel_turns_total",             "end",                    \
      "Turns ended, by how they ended.")                                                      \
    X(TOOL_RUNS,       COUNTER,   "runnel_tool_runs_total",         "end",                    \
      "Runs of tools for models: done, failed.")                                              \
    X(TURNS_SWEPT,     COUNTER,   "runnel_turns_swept_total",       "",                       \
      "Turns of dead processes that this one has closed.")                                    \
    X(EVENTS,          COUNTER,   "runnel_turn_events_total",       "",                       \
      "Events of answers handed to readers.")                                                 \
    X(FIRST_EVENT,     HISTOGRAM, "runnel_first_event_seconds",     "",                       \
      "From the question to the first event of its answer.")                                  \
    X(EVENT_GAP,       HISTOGRAM, "runnel_event_gap_seconds",       "",                       \
      "Between two events of one answer.")                                                    \
    X(DB_READY,        GAUGE,     "runnel_database_connections",    "",                       \
      "Connections to the database that take work now.")                                      \
    X(DB_WAITING,      GAUGE,     "runnel_database_waiting",        "",                       \
      "Units of work that wait for a connection.")                                            \
    X(DB_UNITS,        COUNTER,   "runnel_database_units_total",    "end",                    \
      "Units of work, by how they ended.")                                                    \
    X(LOOP_LAG,        HISTOGRAM, "runnel_loop_lag_seconds",        "",                       \
      "How late the loop runs what is due.")                                                  \
    X(LOOP_STALL,      LONGEST,   "runnel_loop_longest_stall_seconds", "",                    \
      "The longest that the loop has been away from its sockets since the start.")            \
    X(SLOW_READERS,    COUNTER,   "runnel_slow_readers_cut_total",  "",                       \
      "Connections cut because nothing was read from them in time.")                          \
    X(RELOADS,         COUNTER,   "runnel_reloads_total",           "result",                 \
      "Settings read again on SIGHUP.")                                                       \
    X(WORKERS,         GAUGE,     "runnel_workers",                 "",                       \
      "Processes that take connections now.")                                                 \
    X(WORKERS_DIED,    COUNTER,   "runnel_workers_died_total",      "",                       \
      "Processes that have died and were started again.")                                     \
    X(ALLOCATIONS,     COUNTER,   "runnel_allocations_total",       "",                       \
      "Heap allocations since the start.")                                                    \
    X(ALLOCATED,       GAUGE,     "runnel_allocated_bytes",         "",                       \
      "Heap bytes in use.")                                                                   \
    X(RESIDENT,        GAUGE,     "runnel_resident_bytes",          "",                       \
      "Resident memory, of all processes.")

enum metric {
#define X(id, kind, name, labels, help) METRIC_##id,
    METRICS(X)
#undef X
        METRIC_COUNT
};

/* Where several processes serve, each counts on a page of its own, and what is written is the
 * sum of all pages: the figures of a dead process stay, but for its gauges. */
size_t metrics_page_size(void);
void   metrics_share(void *pages, size_t n);  /* zeroed memory that all of them see */
void   metrics_use(size_t page);              /* this process counts there      */
void   metrics_retire(size_t page);           /* its process is dead            */
bool   metrics_process(size_t page, int64_t *pid);    /* 0: nobody's; false: no such page */

void    metric_add(enum metric m, int64_t n);
void    metric_set(enum metric m, int64_t value);
void    metric_add_labelled(enum metric m, const char *first, const char *second);
void    metric_longest(enum metric m, uint64_t ns);  /* keeps the longest      */
void    metric_observe(enum metric m, uint64_t ns); /* histograms of seconds  */
int64_t metric_value(enum metric m);                 /* plain ones; of this process */
int64_t metric_total(enum metric m);                 /* plain ones; of all     */

void metrics_write(struct buf *out);                 /* Prometheus text        */
void metrics_release(void);

#endif
