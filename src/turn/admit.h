/* admit.h - how many turns this process answers at once: turns.max_running. */
#ifndef TURN_ADMIT_H
#define TURN_ADMIT_H

#include "base/gate.h"
#include "base/settings.h"

void         admit_configure(const struct turn_settings *settings);
struct gate *admit_gate(void);

#endif
