/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/engines.h"

#include <errno.h>

#include "base/text.h"
#include "engine/kvm/kvm.h"
#include "engine/soft/soft.h"

const struct engine_choice engine_choices[] = {
        { "kvm", kvm_self_test, false },
        { "soft", soft_self_test, true },
        { 0 },
};

static int choose_named(const char *name, const struct engine_choice **choice, struct error *err)
{
        _cleanup_text_ struct text names = { 0 };
        for (const struct engine_choice *one = engine_choices; one->name; one++) {
                if (text_equal(one->name, name)) {
                        *choice = one;
                        return one->self_test(err);
                }
                text_printf(&names, ", %s", one->name);
        }
        if (text_failed(&names))
                return error_memory(err);
        return error_set(err, -EINVAL, "--engine \"%s\" is none of auto%s", name, names.data);
}

int engine_choose(const char *wanted, const struct engine_choice **choice, struct error *err)
{
        if (wanted && !text_equal(wanted, "auto"))
                return choose_named(wanted, choice, err);
        _cleanup_text_ struct text reasons = { 0 };
        int r = -ENOENT;
        for (const struct engine_choice *one = engine_choices; one->name; one++) {
                struct error reason = { 0 };
                if (one->by_name_only)
                        continue;
                *choice = one;
                r = one->self_test(&reason);
                if (!r)
                        return 0;
                text_printf(&reasons, "%s%s", reasons.length ? "; " : "", reason.text);
        }
        if (text_failed(&reasons))
                return error_memory(err);
        return error_set(err, r, "%s (--engine soft runs it on a CPU in software, many times slower)",
                         reasons.data ? reasons.data : "there is no engine");
}
