/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "instance/instance.h"
#include "instance/vessel.h"

int instance_top(struct instance *instance, char *const *arguments, char ***lines, struct error *err)
{
        if (!instance->run)
                return error_set(err, -ESRCH, "instance %s does not run", instance->name);
        return vessel_of(instance)->top(instance, arguments, lines, err);
}
