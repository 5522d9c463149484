#include "kv/fence.h"

#include "kv/kv.h"
#include "kv/span.h"
#include "kv/state.h"

enum api_status fence_check_fields(const Kvd__V1__Fence *fence)
{
    return fence != NULL && (fence->name.len == 0 || fence->token <= 0) ? API_BAD_FENCE
                                                                        : API_OK;
}

enum api_status fence_check(const struct kv *kv, const Kvd__V1__Fence *fence)
{
    const struct lock_hold *hold;

    if (fence == NULL) {
        return API_OK;
    }
    hold = lock_of_token(kv, api_slice(fence->name), fence->token);
    if (hold == NULL && kv->plants & KV_PLANT_OLD_FENCE) {
        return API_OK;
    }
    return hold != NULL && lock_holds(kv, hold) ? API_OK : API_FENCED;
}
