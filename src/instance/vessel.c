/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/vessel.h"

#include <errno.h>

#include "base/text.h"
#include "instance/disk_usage.h"
#include "instance/vessel_private.h"

const struct vessel *const vessels[] = { &vessel_container, &vessel_vm, NULL };

const struct vessel *vessel_find(const char *name)
{
        for (const struct vessel *const *vessel = vessels; *vessel; vessel++)
                if (!name || text_equal((*vessel)->name, name))
                        return *vessel;
        return NULL;
}

const struct vessel *vessel_of(const struct instance *instance)
{
        const json_t *settings = json_object_get(instance->config, "settings");
        const struct vessel *vessel = vessel_find(json_string_value(json_object_get(settings, "isolation")));
        return vessel ? vessel : vessels[0]; /* of an instance whose files cannot be read */
}

int vessel_runtime(const struct vessel *vessel, const struct host *host, char **path, struct error *err)
{
        *path = host_program(host, vessel->runtime);
        if (*path)
                return 0;
        return error_set(err, -EOPNOTSUPP, "%s, which runs --isolation %s, was not found beside %s/onggi-monitor",
                         vessel->runtime, vessel->name, host->libexec);
}

const char *instance_engine(const struct instance *instance)
{
        const json_t *now = instance->run ? instance->run : instance->state;
        const json_t *engine = json_object_get(now, "engine");
        if (!engine)
                engine = json_object_get(json_object_get(instance->config, "settings"), "engine");
        return json_is_string(engine) ? json_string_value(engine) : "";
}

uint64_t instance_written(const struct instance *instance)
{
        return disk_usage(instance->folder, vessel_of(instance)->written);
}
