#include "lead.h"

#include "api/assistant_plugin.h"
#include "api/strangers.h"
#include "base/log.h"
#include "base/metrics.h"
#include "command/command.h"
#include "net/notify_socket.h"
#include "process/crew.h"
#include "process/pid_file.h"
#include "setup.h"

#include <stdio.h>

static const struct led *led;

static bool settings_are_good(void)
{
    struct buf       mistakes = BUF(64 * 1024);
    struct settings *s = setup_load(&mistakes);

    fprintf(stderr, "%.*s", STR_ARG(buf_str(&mistakes)));
    return s != NULL;
}

static bool new_settings_are_good(void)
{
    struct buf       mistakes = BUF(64 * 1024);
    struct settings *s = setup_load(&mistakes);

    setup_tell_mistakes(&mistakes);
    return s != NULL;
}

static bool migrate(void)
{
    command_migrate_first(*led->settings);
    return true;
}

/* Workers that begin later begin with the settings that were good. */
static bool reload(void)
{
    struct buf       mistakes = BUF(64 * 1024);
    struct settings *s;

    notify_reloading();
    s = crew_apart(new_settings_are_good) ? setup_read(&mistakes) : NULL;
    metric_add_labelled(METRIC_RELOADS, s ? "done" : "refused", "");
    buf_release(&mistakes);
    if (s) {
        settings_free(*led->settings);
        *led->settings = s;
        log_setup((enum log_level)s->log_level, (enum log_format)s->log_format);
    }
    notify_ready((*led->settings)->drain_seconds);
    return s != NULL;
}

int lead(const struct led *l)
{
    int rc;

    led = l;
    if (!crew_apart(settings_are_good))
        die("the settings have mistakes; nothing was started");
    if (l->migrates && !crew_apart(migrate))
        return 1;
    strangers_share();
    assistant_plugins_share();
    setup_open_ports(*l->settings, l->ports, l->workers);
    rc = crew_lead(&(struct crew_plan){ .size = l->workers,
                                        .ports = l->ports,
                                        .work = l->work,
                                        .reload = reload,
                                        .ready = l->announce });
    LOG(LOG_INFO, L_MSG("stopped"));
    log_flush();
    pid_file_remove();
    settings_free(*l->settings);
    *l->settings = NULL;
    return rc;
}
