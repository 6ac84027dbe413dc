/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/rates.h"

#include <errno.h>

#include "hosted/disk.h"
#include "hosted/tap.h"
#include "hosted/vmm_private.h"

static int take_rate(const struct json_at *request, const char *key, uint64_t *rate, uint64_t *burst, struct error *err)
{
        const char *text = NULL;
        if (!json_get_string(request, key, &text))
                return json_failed(request);
        return token_bucket_parse(text, rate, burst) < 0
                       ? error_set(err, -EINVAL, "%s: \"%s\" is no rate; it is RATE or RATE:BURST a second", key, text)
                       : 0;
}

int rates_command(struct vmm *vmm, const struct json_at *request, json_t *answer, struct error *err)
{
        struct rate_settings rate = { 0 };
        uint64_t number = 0;
        (void)answer;
        bool disk = json_get_u64(request, "disk", &number),
             network = !disk && json_get_u64(request, "network", &number);
        int r = take_rate(request, "bytes", &rate.bytes, &rate.bytes_burst, err);
        if (!r)
                r = take_rate(request, "operations", &rate.operations, &rate.operations_burst, err);
        if (!r)
                r = json_failed(request);
        if (r < 0)
                return r;
        if ((!disk && !network) || number >= (disk ? vmm->disk_count : vmm->tap_count))
                return error_set(err, -EINVAL, "the machine has no such device: \"disk\" or \"network\" is its number");
        pthread_mutex_lock(&vmm->lock);
        if (disk)
                disk_set_rate(vmm->disks[number], &rate);
        else
                tap_set_rate(vmm->taps[number], &rate);
        pthread_mutex_unlock(&vmm->lock);
        return 0;
}
