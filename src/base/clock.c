#include "base/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t now;
static bool     faked;

static uint64_t kernel_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * CLOCK_S + (uint64_t)ts.tv_nsec;
}

uint64_t clock_now(void)
{
    if (now == 0)
        clock_update();
    return now;
}

uint64_t clock_exact(void)
{
    return faked ? now : kernel_ns(CLOCK_MONOTONIC);
}

void clock_update(void)
{
    if (!faked)
        now = kernel_ns(CLOCK_MONOTONIC);
}

/* The loop serves its sockets as soon as it wakes: the first who asks then reads the clock. */
void clock_forget(void)
{
    if (!faked)
        now = 0;
}

void clock_fake(uint64_t ns)
{
    faked = true;
    now = ns;
}

int64_t clock_wall_ms(void)
{
    return (int64_t)(kernel_ns(CLOCK_REALTIME) / CLOCK_MS);
}

/* strftime() would follow the locale; HTTP's names are fixed. */
void clock_http_date_of(int64_t seconds, char out[30])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char              text[64];
    time_t            t = (time_t)seconds;
    struct tm         tm;

    gmtime_r(&t, &tm);
    snprintf(text, sizeof text, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday,
             tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
             tm.tm_sec);
    memcpy(out, text, 29);
    out[29] = '\0';
}

/* Made once a second. */
void clock_http_date(char out[30])
{
    static int64_t made_for = -1;
    static char    text[30];
    int64_t        t = clock_wall_ms() / 1000;

    if (t != made_for)
        clock_http_date_of(t, text);
    made_for = t;
    memcpy(out, text, sizeof text);
}

void clock_log_time(char out[25])
{
    static time_t made_for = -1;
    static char   second[64];
    int64_t       ms = clock_wall_ms();
    time_t        t = (time_t)(ms / 1000);
    struct tm     tm;

    if (t != made_for) {
        gmtime_r(&t, &tm);
        snprintf(second, sizeof second, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        made_for = t;
    }
    memcpy(out, second, 19);
    snprintf(out + 19, 6, ".%03uZ", (unsigned)(ms % 1000));
}

void clock_iso(int64_t micros, char out[CLOCK_ISO_SIZE])
{
    int64_t   second = micros / 1000000 - (micros % 1000000 < 0);
    time_t    t = (time_t)second;
    struct tm tm;

    gmtime_r(&t, &tm);
    snprintf(out, CLOCK_ISO_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%06d+00:00",
             (tm.tm_year + 1900) % 10000, (tm.tm_mon + 1) % 100, tm.tm_mday % 100, tm.tm_hour % 100,
             tm.tm_min % 100, tm.tm_sec % 100, (int)(micros - second * 1000000) % 1000000);
}
