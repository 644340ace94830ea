/* turn_equip.c - what its tenant lets a turn use: the step equip.
 *
 * Behind it it is known which tools the model is offered, before the question is measured and
 * sent. The look is never in the way (tool/tenant_tools.h): it ends well, soon, and with what is
 * known; and most turns need none.
 */
#include "turn/turn_state.h"

bool turn_has_tenants_tools(const struct turn *t)
{
    if (t->question->has_no_tools)
        return false;
    return t->model->tenant_tools && t->question->asked == ASKED_CHAT;
}

static void on_known(struct tenant_ask *a)
{
    turn_resume(LIST_OWNER(a, struct turn, equipment), FAULT_NONE);
}

static void ask_equip(struct turn *t)
{
    t->equipment.done = on_known;
    if (!turn_has_tenants_tools(t) || tenant_tools_ask(&t->equipment, t->bill.asker.tenant))
        turn_resume(t, FAULT_NONE);
}

static enum step got_equip(struct turn *t, enum fault came)
{
    t->fault = came;
    if (came)
        return STEP_GONE;
    turn_pick_tools(t);
    return STEP_SHORTEN;
}

static void drop_equip(struct turn *t)
{
    tenant_tools_leave(&t->equipment);
}

const struct turn_step step_equip = { "equip", ask_equip, got_equip, drop_equip };
